"""Small networks taught by `ftc distill`: accuracy, speed and INT8 on top; of texts, beside learning from labels.

python benchmarks/teaching.py CHECKPOINT --train ROWS --test ROWS [--keep 0.33] [--layers 3] [--teaching 15m]
    [--fragments]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from measuring import FTC, checked
from text_int8 import both_lengths

from ftc.checkpoint import open_any


def quantized(artifact: Path, train: Path, is_of_texts: bool, artifacts: list[str | Path]) -> None:
    """INT8 of a taught network for ONNX Runtime and for LiteRT."""
    for to in ("onnx", "tflite"):
        mode = "dynamic" if is_of_texts else "static"
        data = ["--data", train] if to == "tflite" or not is_of_texts else []
        print(checked([*FTC, "quantize", artifact, "--to", to, "--mode", mode, *data, *artifacts]).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--keep", default="0.33")
    parser.add_argument("--layers", default="3")
    parser.add_argument("--teaching", default="15m", help="What each teaching may take.")
    parser.add_argument("--fragments", action="store_true", help="Learn on texts that are part of others, too.")
    parser.add_argument("--time-budget", default="60")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    place = folder / "artifacts"
    artifacts: list[str | Path] = ["--artifacts", place]
    root = open_any(arguments.checkpoint)
    is_of_texts = root.manifest.preprocessing.kind == "text"
    taught = [*FTC, "distill", "--data", arguments.train, "--time-budget", arguments.teaching, *artifacts]
    taught += ["--fragments"] * arguments.fragments

    checked([*FTC, "export", arguments.checkpoint, *artifacts])
    prune = [*FTC, "prune", arguments.checkpoint, "--data", arguments.train, "--keep", arguments.keep, *artifacts]
    print(checked(prune).stdout)
    pruned = place / f"{root.manifest.name}-keep-{arguments.keep}"
    made = checked([*taught, pruned, "-o", place / "pruned-taught"])
    print(f"{made.wall_s:.0f} s\n{made.stdout}")
    quantized(place / "pruned-taught", arguments.train, is_of_texts, artifacts)
    if is_of_texts:
        fewer = [*taught, arguments.checkpoint, "--layers", arguments.layers]
        made = checked([*fewer, "-o", place / "layers-taught"])
        print(f"{made.wall_s:.0f} s\n{made.stdout}")
        quantized(place / "layers-taught", arguments.train, is_of_texts, artifacts)
        print(checked([*fewer, "--alpha", "0", "-o", folder / "by-labels"]).stdout)
        alone = [*FTC, "bench", arguments.checkpoint, folder / "by-labels", "--data", arguments.test]
        print(checked([*alone, "--time-budget", "10"]).stdout)
        both_lengths(arguments.checkpoint, arguments.test, folder, arguments.time_budget)
    else:
        options = ["--data", arguments.test, "--time-budget", arguments.time_budget]
        print(checked([*FTC, "bench", *options, *artifacts]).stdout)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
