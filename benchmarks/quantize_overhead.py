"""`ftc quantize` beside a bare script of the same library calls: wall time and peak memory, in turns.

python benchmarks/quantize_overhead.py CHECKPOINT [--runs 3]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from measuring import FTC, Run, checked

BARE = """
import sys, onnx, onnx_ir
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter
checkpoint, out = sys.argv[1:]
model = AutoModelForSequenceClassification.from_pretrained(checkpoint, attn_implementation="eager").eval()
batch = dict(AutoTokenizer.from_pretrained(checkpoint)(["a longer text", "text"], padding=True, return_tensors="pt"))
program = OnnxExporter().export(model, batch, config=OnnxConfig(dynamic=True, ort_fusions="cpu")).program
onnx_ir.save(program, f"{out}/float.onnx")
float_model = onnx.load(f"{out}/float.onnx")
del float_model.graph.value_info[:]
onnx.save(float_model, f"{out}/float.onnx")
quantize_dynamic(f"{out}/float.onnx", f"{out}/int8.onnx", per_channel=True, reduce_range=True,
                 weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": 1})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    ours, bare = list[Run](), list[Run]()
    for _ in range(arguments.runs):
        folder = Path(tempfile.mkdtemp())
        bare.append(checked([sys.executable, "-c", BARE, arguments.checkpoint, folder]))
        ours.append(checked([*FTC, "-q", "quantize", arguments.checkpoint, "--artifacts", folder / "a"]))
        shutil.rmtree(folder)
    wall = statistics.median(a.wall_s / b.wall_s for a, b in zip(ours, bare, strict=True))
    memory = statistics.median(a.peak_rss_bytes / b.peak_rss_bytes for a, b in zip(ours, bare, strict=True))
    print(f"ftc quantize / bare script: {wall:.2f}x wall time, {memory:.2f}x peak memory (median of {arguments.runs})")


if __name__ == "__main__":
    main()
