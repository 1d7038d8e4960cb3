"""`ftc serve`: ready line, clean end, and no start on a port or an address that cannot be had."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from ftc.artifact import Artifact
from serve.server import free_port

COMMAND = [sys.executable, "-m", "ftc", "serve"]


def _workers(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if child.is_running()]


# killed outright, it can end nothing itself: on Linux the kernel tells the server
ENDS = [(signal.SIGINT, 0), (signal.SIGTERM, 0)]
if sys.platform == "linux":
    ENDS.append((signal.SIGKILL, -signal.SIGKILL))


@pytest.mark.parametrize(("end", "code"), ENDS)
def test_an_artifact_is_served_until_the_signal(
    text_onnx: Artifact, tmp_path: Path, end: signal.Signals, code: int
) -> None:
    home = tmp_path / "bentoml"
    metrics = home / "prometheus_multiproc_dir" / "counter_1.db"
    metrics.parent.mkdir(parents=True)
    metrics.touch()
    process = subprocess.Popen(
        [*COMMAND, str(text_onnx.path), "--port", str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # what a killed process leaves goes with the test
        env={**os.environ, "TMPDIR": str(tmp_path), "BENTOML_HOME": str(home)},
    )
    try:
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert next(lines).startswith("starting ")
        assert next(lines).startswith("ready at http://127.0.0.1:")
        words = shlex.split(next(lines))
        body = words[words.index("-d") + 1]
        url = next(word for word in words if word.startswith("http"))
        request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)[0]["label"] in ("negative", "positive")
        assert [*metrics.parent.iterdir()] == [metrics], "the metrics of other services in this home are theirs"
        started = _workers(psutil.Process(process.pid))
        assert len(started) >= 2  # BentoML's supervisor and its worker
        process.send_signal(end)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert output == ""
    assert "Traceback" not in errors
    assert not psutil.wait_procs(started, timeout=30)[1]


def test_with_v_the_service_says_what_bentoml_says(text_onnx: Artifact, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ftc", "-v", "serve", str(text_onnx.path), "--port", str(free_port())],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert process.stderr is not None
        before = []
        for line in process.stderr:
            if line.startswith("ready at"):
                break
            before.append(line)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert any("[INFO]" in line for line in before)


def _refused(*arguments: str, **environment: str) -> str:
    run = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env={**os.environ, **environment})
    assert run.returncode == 2
    assert run.stdout == ""
    assert not re.search("Traceback", run.stderr)
    return run.stderr


def test_a_port_in_use_is_refused(text_onnx: Artifact) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} on 127.0.0.1" in _refused(str(text_onnx.path), "--port", str(port))


def test_a_host_name_is_refused(text_onnx: Artifact) -> None:
    assert "--host localhost is no IP address" in _refused(str(text_onnx.path), "--host", "localhost")


def test_without_a_bento_the_next_step_is_named(tmp_path: Path) -> None:
    port = str(free_port())
    assert "ftc package" in _refused("--port", port, BENTOML_HOME=str(tmp_path))
    assert "neither a path nor a Bento" in _refused("nothing:1", "--port", port, BENTOML_HOME=str(tmp_path))
