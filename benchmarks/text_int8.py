"""INT8 of a text classifier in every format: size, accuracy, speed at the data's own lengths and at 128 tokens.

python benchmarks/text_int8.py CHECKPOINT --test test.tsv --train train.tsv [--formats onnx tflite openvino]
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
from pathlib import Path

from measuring import FTC, checked

from ftc.checkpoint import open_any
from ftc.data import load
from ftc.tasks.task import Task, open_task

LENGTH = 128

FORMS = {
    "onnx": [["--mode", "dynamic"], ["--mode", "static", "--data"]],
    "tflite": [["--mode", "dynamic"], ["--mode", "dynamic", "--data"]],
    "openvino": [["--mode", "static", "--data"]],
}
"""What is made of each format; with data, a dynamic TFLite file has its lengths fitted to it."""


def of_length(task: Task, texts: list[str], count: int) -> list[str]:
    """Texts of just `LENGTH` tokens, made of the words of the given ones."""
    words = itertools.cycle(word for text in texts for word in text.split())
    made = []
    while len(made) < count:
        text = next(words)
        while task.length(text) < LENGTH:
            text += " " + next(words)
        if task.length(text) == LENGTH:
            made.append(text)
    return made


def both_lengths(checkpoint: Path, test: Path, folder: Path, time_budget: str) -> None:
    """Print what `ftc bench` says of `folder / "artifacts"`, on rows as they are and on texts of `LENGTH` tokens."""
    root = open_any(checkpoint)
    rows = load(str(test), modality="text", classes=root.manifest.labels)
    long = folder / "long.tsv"
    texts = of_length(open_task(root), [text for text in rows.examples if isinstance(text, str)], 64)
    long.write_text("\n".join(["sentence", *texts]) + "\n", encoding="utf-8")
    options = ["--artifacts", folder / "artifacts", "--time-budget", time_budget]
    print("\n## On the data's own lengths\n")
    print(checked([*FTC, "bench", "--data", test, *options]).stdout)
    print(f"\n## At {LENGTH} tokens\n")
    print(checked([*FTC, "bench", "--data", long, *options]).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True, help="Rows for static INT8 and for TFLite's lengths.")
    parser.add_argument("--formats", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--time-budget", default="60")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    artifacts = ["--artifacts", str(folder / "artifacts")]
    checked([*FTC, "export", arguments.checkpoint, *artifacts])
    for name in arguments.formats:
        for form in FORMS[name]:
            data = ["--data", arguments.train] if "--data" in form else []
            words = [word for word in form if word != "--data"]
            made = checked([*FTC, "quantize", arguments.checkpoint, "--to", name, *words, *data, *artifacts])
            print(made.stdout)
    both_lengths(arguments.checkpoint, arguments.test, folder, arguments.time_budget)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
