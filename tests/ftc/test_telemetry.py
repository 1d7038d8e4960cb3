"""No library sends anything about its use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ftc.artifact import Artifact

CODE = """
import sys, pathlib
from ftc.artifact import open_artifact
from ftc.runtimes.session import open_session
open_session(open_artifact(pathlib.Path(sys.argv[1])))
"""


def test_onnx_runtime_keeps_no_telemetry(text_onnx: Artifact, tmp_path: Path) -> None:
    places = {name: str(tmp_path / name) for name in ("HOME", "TMPDIR")}
    for place in places.values():
        Path(place).mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", CODE, str(text_onnx.path)], env=environment | places, check=True)
    # a device's id and a store of events in the first, a session's id in the second
    assert [path for place in places.values() for path in Path(place).rglob("*onnxruntime*")] == []
    assert not (Path(places["TMPDIR"]) / ".ses").exists()
