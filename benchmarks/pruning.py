"""`ftc prune` of a text classifier: time, accuracy, speed, INT8 on top; and cutting by magnitude at the same size.

python benchmarks/pruning.py CHECKPOINT --train train.tsv --test test.tsv [--keep 0.5 0.33]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
from measuring import FTC, checked
from text_int8 import LENGTH, of_length
from tokenizers import Tokenizer

from compress.pruning.encoder import Kept, Layer, cut, layers_of
from compress.pruning.scores import Scores
from compress.pruning.selection import Cost, select
from ftc.artifact import Artifact, open_artifact
from ftc.checkpoint import load, open_any
from ftc.data import Dataset
from ftc.data import load as load_data
from ftc.huggingface.tokenizer import load_tokenizer
from ftc.runtimes.session import open_session
from ftc.runtimes.torch_eager import TorchEager
from ftc.tasks.encoding import TOKENIZER_FILE
from ftc.tasks.task import open_task


def by_magnitude(layers: tuple[Layer, ...]) -> tuple[Scores, ...]:
    """Sums of squared weights of each head and neuron, the usual data-free score."""
    found = []
    for layer in layers:
        linears = (layer.query, layer.key, layer.value)
        rows = sum(linear.weight.double().square().sum(1) for linear in linears)
        rows = rows + layer.mixed.weight.double().square().sum(0)
        heads = rows.view(layer.heads, layer.head_size).sum(1)
        neurons = layer.up.weight.double().square().sum(1) + layer.down.weight.double().square().sum(0)
        found.append(Scores(heads.numpy(), neurons.numpy()))
    return tuple(found)


def accuracy_by_magnitude(checkpoint: Path, keep: float, rows: Dataset) -> float:
    """Accuracy of the network cut to `keep` of its encoder by magnitude, with nothing solved for."""
    model = load(checkpoint)
    layers = layers_of(model, checkpoint)
    costs = [Cost(layer.head_parameters, layer.neuron_parameters) for layer in layers]
    can_go = sum(layer.heads * c.head + layer.neurons * c.neuron for layer, c in zip(layers, costs, strict=True))
    budget = can_go - (1 - keep) * sum(layer.parameters for layer in layers)
    kept: tuple[Kept, ...] = select(by_magnitude(layers), costs, budget)
    for layer, parts in zip(layers, kept, strict=True):
        cut(layer, parts)
    task, session = open_task(open_any(checkpoint)), TorchEager(model, 2)
    answers = [session.run(task.encode([example]))["logits"] for example in rows.examples]
    assert rows.labels is not None
    return task.score({"logits": np.concatenate(answers)}, rows.labels)[task.main_metric]


def vocabulary(root: Artifact, train: Path, rows: Dataset, artifacts: list[str | Path]) -> None:
    """Trim the vocabulary to the training rows, and compare the answers to the test rows."""
    print(checked([*FTC, "prune", root.path, "--data", train, "--vocabulary", *artifacts]).stdout)
    small = open_artifact(Path(artifacts[1]) / f"{root.manifest.name}-trimmed")
    texts = [text for text in rows.examples if isinstance(text, str)]
    answers = []
    for artifact in (root, small):
        task, session = open_task(artifact), open_session(artifact)
        answers.append(np.concatenate([session.run(task.encode([text]))["logits"] for text in texts]))
    wanted, got = answers
    left = Tokenizer.from_file(str(small.file(TOKENIZER_FILE))).get_vocab()
    whole = load_tokenizer(root.path).backend_tokenizer
    kept = np.array([set(whole.encode(text).tokens) <= set(left) for text in texts])
    assert rows.labels is not None
    print(
        f"{small.manifest.facts.size_bytes / root.manifest.facts.size_bytes - 1:.1%} in size; "
        f"{(~kept).sum()} of {len(rows)} rows lost a token; of the others "
        f"{(wanted[kept].argmax(1) == got[kept].argmax(1)).mean():.1%} have the same label, the largest "
        f"difference of a logit is {np.abs(wanted - got)[kept].max():.1g}; accuracy on all "
        f"{(wanted.argmax(1) == rows.labels).mean():.4f} -> {(got.argmax(1) == rows.labels).mean():.4f}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--keep", nargs="+", type=float, default=[0.5, 0.33])
    parser.add_argument("--time-budget", default="60")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    artifacts = ["--artifacts", folder / "artifacts"]
    root = open_any(arguments.checkpoint)
    rows = load_data(str(arguments.test), modality="text", classes=root.manifest.labels, need_labels=True)
    vocabulary(root, arguments.train, rows, ["--artifacts", folder / "trimmed"])
    checked([*FTC, "export", arguments.checkpoint, *artifacts])
    for keep in arguments.keep:
        made = checked([*FTC, "prune", arguments.checkpoint, "--data", arguments.train, "--keep", keep, *artifacts])
        print(f"keep {keep:g}: {made.wall_s:.0f} s\n{made.stdout}")
        pruned = open_artifact(folder / "artifacts" / f"{root.manifest.name}-keep-{keep:g}")
        for to in ("onnx", "tflite"):
            print(checked([*FTC, "quantize", pruned.path, "--to", to, *artifacts]).stdout)
        magnitude = accuracy_by_magnitude(arguments.checkpoint, keep, rows)
        print(f"keep {keep:g} by magnitude, nothing solved for: {magnitude:.4f}\n")
    long = folder / "long.tsv"
    texts = of_length(open_task(root), [text for text in rows.examples if isinstance(text, str)], 64)
    long.write_text("\n".join(["sentence", *texts]) + "\n", encoding="utf-8")
    budget = ["--time-budget", arguments.time_budget]
    print("\n## On the data's own lengths\n")
    print(checked([*FTC, "bench", "--data", arguments.test, *artifacts, *budget]).stdout)
    print(f"\n## At {LENGTH} tokens\n")
    print(checked([*FTC, "bench", "--data", long, *artifacts, *budget]).stdout)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
