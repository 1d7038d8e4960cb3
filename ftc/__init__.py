"""`ftc`: from a fine-tuned checkpoint to the fastest form of it that can be shipped, proven by a measurement."""

import os
import sys

__version__ = "0.1.0"

# ONNX Runtime sends usage events, on Linux too, unless it finds this when it is imported: its own
# `disable_telemetry_events` comes too late, a device's id and the first events are written by then
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# MLflow does so from its import on, unless this is set
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# OpenVINO and NNCF report their import and every conversion through this package, without asking, unless it cannot be
# imported: then they go on without it
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
