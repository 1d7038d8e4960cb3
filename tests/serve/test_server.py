"""A server's port: free until the server binds it, and not mistaken for a server when somebody else has it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ftc.errors import RunError
from serve.server import Server, free_port


def test_a_free_port_is_none_that_systems_hand_out_by_themselves() -> None:
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(handed_out.read_text().split()[0]) if handed_out.is_file() else 49_152
    if lowest < 20_000:
        pytest.skip(f"this machine hands out ports from {lowest} on")
    assert all(1024 <= free_port() < lowest for _ in range(50))


def test_a_port_that_somebody_listens_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    free, taken = free_port(), free_port()
    with socket.create_server(("127.0.0.1", taken)):
        monkeypatch.setattr("random.SystemRandom.sample", lambda *_: [taken, free])
        assert free_port() == free
        monkeypatch.setattr("random.SystemRandom.sample", lambda *_: [taken])
        with pytest.raises(RunError, match="End what listens"):
            free_port()


def test_an_answer_that_is_no_http_is_not_taken_for_a_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        asked = threading.Event()

        def greet() -> None:
            connection, _ = stranger.accept()
            with connection:
                connection.recv(4096)  # unread, it would end the connection before the answer is there
                connection.sendall(b"\xff" + bytes(8) + b"\x7f")
                asked.set()

        threading.Thread(target=greet).start()
        process = subprocess.Popen([sys.executable, "-c", "input(); raise SystemExit(3)"], stdin=subprocess.PIPE)
        threading.Thread(target=lambda: (asked.wait(), process.communicate(b"\n"))).start()
        with pytest.raises(RunError, match="ended with code 3 while it started"):
            Server(process, f"http://127.0.0.1:{stranger.getsockname()[1]}").wait_until_ready()
