"""Static INT8 of an image classifier in every format: size, accuracy on all test rows, and speed at batch 1.

python benchmarks/image_int8.py CHECKPOINT --calibration DATA --test DATA [--formats tflite] [--label-column NAME ...]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from measuring import FTC, checked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--formats", nargs="+", default=["onnx", "tflite", "openvino"])
    arguments, columns = parser.parse_known_args()
    folder = Path(tempfile.mkdtemp())
    artifacts = ["--artifacts", folder]
    for name in arguments.formats:
        calibrated = ["--mode", "static", "--data", arguments.calibration]
        made = checked([*FTC, "quantize", arguments.checkpoint, "--to", name, *calibrated, *columns, *artifacts])
        print(made.stdout)
    columns = [word for word in columns if word != "--integer-io"]  # an option of quantize alone
    measured = checked([*FTC, "bench", "--data", arguments.test, *columns, *artifacts, "--time-budget", "60"])
    print(measured.stdout)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
