"""Each conversion of `ftc` beside a bare script of the same library calls: wall time, in turns.

python benchmarks/conversions.py CHECKPOINT [--keras MODEL.keras --labels FILE] --data ROWS [--runs 3]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from measuring import FTC, checked

LENGTHS = "16,32,64,128,256,512"

LOAD = """
import sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
checkpoint, out, lengths, *more = sys.argv[1:]
model = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
names = AutoTokenizer.from_pretrained(checkpoint).model_input_names
class Named(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model
    def forward(self, **inputs):
        return {"logits": self.model(**inputs).logits}
"""

TFLITE = (
    LOAD
    + """
import litert_torch
from ai_edge_quantizer import quantizer, recipe
converter = None
for length in map(int, lengths.split(",")):
    sample = {name: torch.ones(1, length, dtype=torch.int32) for name in names}
    converter = (converter or litert_torch).signature(f"length_{length}", Named().eval(), sample_kwargs=sample)
converter.convert().export(out + "/float.tflite")
small = quantizer.Quantizer(out + "/float.tflite")
small.load_quantization_recipe(recipe.dynamic_wi8_afp32())
small.quantize().export_model(out + "/int8.tflite")
"""
)

OPENVINO = (
    LOAD
    + """
import csv, nncf, openvino
from transformers.exporters.exporter_openvino import OpenVINOConfig, OpenVINOExporter
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
batch = dict(tokenizer(["a longer text", "text"], padding=True, return_tensors="pt"))
graph = OpenVINOExporter().export(model, batch, config=OpenVINOConfig(dynamic=True)).program
openvino.save_model(graph, out + "/float.xml", compress_to_fp16=False)
rows = [row[0] for row in csv.reader(open(more[0]), delimiter="\\t", quoting=csv.QUOTE_NONE)][1:257]
batches = [dict(tokenizer(rows[i:i + 8], padding=True, return_tensors="np")) for i in range(0, 256, 8)]
small = nncf.quantize(graph, nncf.Dataset(batches), subset_size=32, model_type=nncf.ModelType.TRANSFORMER)
openvino.save_model(small, out + "/int8.xml", compress_to_fp16=False)
"""
)

KERAS = """
import sys, keras, tensorflow as tf
model = keras.saving.load_model(sys.argv[1], compile=False)
open(sys.argv[2] + "/float.tflite", "wb").write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--keras", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    checkpoint, data = arguments.checkpoint, arguments.data
    static = ["--mode", "static", "--data", data]
    pairs = {
        "TFLite, six lengths, dynamic INT8": (
            ["quantize", checkpoint, "--to", "tflite", "--lengths", LENGTHS],
            [TFLITE, checkpoint, "OUT", LENGTHS],
        ),
        "OpenVINO, static INT8 from 256 rows": (
            ["quantize", checkpoint, "--to", "openvino", *static],
            [OPENVINO, checkpoint, "OUT", LENGTHS, data],
        ),
    }
    if arguments.keras is not None:
        declared = ["--labels", arguments.labels, "--processor", "tf"]
        pairs["Keras to TFLite"] = (
            ["export", arguments.keras, "--to", "tflite", *declared],
            [KERAS, arguments.keras, "OUT"],
        )
    for title, (ours, bare) in pairs.items():
        ratios = []
        for _ in range(arguments.runs):
            folder = Path(tempfile.mkdtemp())
            words = [folder if word == "OUT" else word for word in bare]
            bare_s = checked([sys.executable, "-c", *words]).wall_s
            ratios.append(checked([*FTC, "-q", *ours, "--artifacts", folder / "a"]).wall_s / bare_s)
            shutil.rmtree(folder)
        print(f"{title}: {statistics.median(ratios):.2f}x the bare script's wall time (median of {arguments.runs})")


if __name__ == "__main__":
    main()
