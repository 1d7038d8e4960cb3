"""How long `ftc --help` takes, and that the command line imports no heavy library.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from measuring import FTC, checked

HEAVY = {"torch", "transformers", "tensorflow", "onnx", "onnxruntime", "numpy", "bentoml"}


def main() -> None:
    times = [checked([*FTC, "--help"]).wall_s for _ in range(11)][1:]
    bare = [checked([sys.executable, "-c", "pass"]).wall_s for _ in range(10)]
    code = f"import sys, ftc.cli; print(sorted({HEAVY!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    print(f"ftc --help: median {statistics.median(times):.3f} s of 10 (bare Python {statistics.median(bare):.3f} s)")
    print(f"heavy libraries that ftc.cli imports: {loaded}")


if __name__ == "__main__":
    main()
