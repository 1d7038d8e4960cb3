"""A service that is told to end answers everything that it has accepted, and leaves no process behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from ftc.artifact import Artifact
from serve.bundle import Second, Settings
from serve.context import stage
from tests.serve.conftest import serving

CLIENTS = 24
SETTLED_S = 0.1
"""What was sent so long before the signal has been read by the server."""


def test_a_signal_under_load_loses_no_accepted_request(text_onnx: Artifact, tmp_path: Path) -> None:
    stage(text_onnx, Settings(threads=1, max_batch_size=1, max_queue=10_000), tmp_path)
    body = json.dumps({"texts": ["the battery arrived early and the screen is bright " * 5] * 100})
    lost_at_s: list[float] = []
    answered_at_s: list[float] = []
    with serving("serve.service:FtcService", tmp_path, home=tmp_path) as server:
        server.wait_until_ready()
        address = urlsplit(server.url).netloc
        ended = threading.Event()

        def ask() -> None:
            connection = http.client.HTTPConnection(address, timeout=60)
            while not ended.is_set():
                sent_s = time.monotonic()
                try:
                    connection.request("POST", "/predict", body)
                    answer = connection.getresponse()
                    assert len(json.loads(answer.read())) == 100
                    assert answer.status == 200
                    answered_at_s.append(time.monotonic())
                except (OSError, http.client.HTTPException):
                    lost_at_s.append(sent_s)
                    return

        clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(1.5)
        told_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        ended.set()
        for client in clients:
            client.join()
    assert [sent_s for sent_s in lost_at_s if sent_s < told_s - SETTLED_S] == []
    assert any(at_s > told_s for at_s in answered_at_s), "nothing was being answered when the signal came"
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert events[-1]["event"] == "stopped"
    assert sum(event.get("status") == 200 for event in events) == len(answered_at_s)


def test_what_a_killed_supervisor_leaves_ends_by_itself(
    text_int8: Artifact, text_onnx: Artifact, tmp_path: Path
) -> None:
    stage(text_int8, Settings(threads=1), tmp_path, Second(text_onnx, "shadow"))
    with serving("serve.service:FtcService", tmp_path, home=tmp_path) as server:
        server.wait_until_ready()
        left = psutil.Process(server.process.pid).children(recursive=True)
        told = [" ".join(child.cmdline()) for child in left]
        assert sum("serve.shadow_process" in each for each in told) == 1
        assert sum("_bentoml_impl.worker.service" in each for each in told) == 1
        try:
            server.process.kill()
            assert psutil.wait_procs(left, timeout=60)[1] == []
        finally:
            for child in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert events[-1]["event"] == "stopped"
