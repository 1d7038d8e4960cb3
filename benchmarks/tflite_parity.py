"""How far a float TFLite file's logits are from PyTorch's, over texts of every length that it has.

python benchmarks/tflite_parity.py CHECKPOINT --test test.tsv [--rows 100]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
from measuring import FTC, checked

from ftc.checkpoint import open_any
from ftc.data import load
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=100)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    checked([*FTC, "export", arguments.checkpoint, "--to", "tflite", "-o", folder / "tflite"])
    root, tflite = open_any(arguments.checkpoint), open_any(folder / "tflite")
    rows = load(str(arguments.test), modality="text", classes=root.manifest.labels).sample(arguments.rows, seed=0)
    task, torch_session, tflite_session = open_task(root), open_session(root), open_session(tflite)
    lengths = [int(length) for length in tflite.manifest.run.session_config["lengths"].split(",")]
    worst: dict[int, float] = {}
    for number, example in enumerate(rows.examples):
        # every row in turn is repeated until it needs the next length
        wanted = lengths[number % len(lengths)]
        text = str(example)
        while task.length(text) < wanted and task.length(f"{text} {example}") <= wanted:
            text = f"{text} {example}"
        inputs = task.encode([text])
        difference = np.abs(torch_session.run(inputs)["logits"] - tflite_session.run(inputs)["logits"]).max()
        bucket = next(length for length in lengths if length >= inputs["input_ids"].shape[1])
        worst[bucket] = max(worst.get(bucket, 0.0), float(difference))
    for bucket, difference in sorted(worst.items()):
        print(f"length {bucket}: largest difference of a logit {difference:.2g}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
