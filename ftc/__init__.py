"""`ftc`: from a fine-tuned checkpoint to the fastest form of it that can be shipped, proven by a measurement."""

import os
import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# ONNX Runtime sends usage events, on Linux too, unless it finds this when it is imported: its own
# `disable_telemetry_events` comes too late, a device's id and the first events are written by then
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# MLflow does so from its import on, unless this is set
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# OpenVINO and NNCF report their import and every conversion through this package, without asking, unless it cannot be
# imported: then they go on without it
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

_OFFERED = {
    "load": "ftc.checkpoint",
    "open_any": "ftc.checkpoint",
    "optimize": "ftc.search.optimize",
    "Request": "ftc.search.request",
}
"""What code of users' own calls, and where it is; imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name in _OFFERED:
        return getattr(import_module(_OFFERED[name]), name)
    raise AttributeError(f"module 'ftc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED})
