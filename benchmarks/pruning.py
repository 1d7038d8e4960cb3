"""`ftc prune` of a classifier: time, accuracy, speed, INT8 on top; and cutting by magnitude and as Torch-Pruning does.

python benchmarks/pruning.py CHECKPOINT --train train.tsv --test test.tsv [--keep 0.5 0.33]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from measuring import FTC, checked
from text_int8 import both_lengths
from tokenizers import Tokenizer
from torch import nn
from torch_pruning_way import pruned
from transformers import PreTrainedModel

from compress.choices import Importance
from compress.pruning.channel_selection import work_of
from compress.pruning.channels import layers_run
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


def accuracy_of(model: PreTrainedModel, checkpoint: Path, rows: Dataset) -> float:
    """Accuracy of a network on rows as its checkpoint encodes them, each on its own."""
    task, session = open_task(open_any(checkpoint)), TorchEager(model, 2)
    answers = [session.run(task.encode([example]))["logits"] for example in rows.examples]
    assert rows.labels is not None
    return task.score({"logits": np.concatenate(answers)}, rows.labels)[task.main_metric]


def parameters(model: PreTrainedModel) -> int:
    """All of a network, without its embeddings' tables, whose tokens nothing cuts."""
    tables = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Embedding))
    return sum(parameter.numel() for parameter in model.parameters()) - tables


def accuracy_by_torch_pruning(artifact: Artifact, checkpoint: Path, rows: Dataset) -> float:
    """Accuracy of what Torch-Pruning's own way leaves at the size of an artifact."""
    encoded = open_task(artifact).encode(rows.examples[:2])
    inputs = {name: torch.from_numpy(values) for name, values in encoded.items()}
    if artifact.manifest.preprocessing.kind == "image":
        size = lambda model: work_of(layers_run(model, inputs).values())  # noqa: E731
    else:
        size = parameters
    return accuracy_of(pruned(checkpoint, inputs, size, size(load(artifact.path))), checkpoint, rows)


def images(root: Artifact, train: Path, rows: Dataset, keeps: list[float], artifacts: list[str | Path]) -> None:
    """Prune a convolutional network: accuracy by each importance, and INT8 on top."""
    print(f"dense: {accuracy_of(load(root.path), root.path, rows):.4f}\n")
    for keep in keeps:
        for importance in Importance:
            command = [*FTC, "prune", root.path, "--data", train, "--keep", keep, "--importance", importance]
            made = checked([*map(str, command), *artifacts])
            suffix = "" if importance is Importance.HESSIAN else f"-{importance}"
            artifact = open_artifact(Path(artifacts[1]) / f"{root.manifest.name}-keep-{keep:g}{suffix}")
            accuracy = accuracy_of(load(artifact.path), artifact.path, rows)
            print(f"keep {keep:g} by {importance}: {accuracy:.4f} in {made.wall_s:.0f} s\n{made.stdout}")
        artifact = open_artifact(Path(artifacts[1]) / f"{root.manifest.name}-keep-{keep:g}")
        theirs = accuracy_by_torch_pruning(artifact, root.path, rows)
        print(f"keep {keep:g} by Torch-Pruning, magnitude, nothing solved for: {theirs:.4f}\n")
        for to in ("onnx", "tflite", "openvino"):
            command = [*FTC, "quantize", artifact.path, "--to", to, "--mode", "static", "--data", train]
            print(checked([*command, *artifacts]).stdout)


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
    return accuracy_of(model, checkpoint, rows)


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
    modality = root.manifest.preprocessing.kind
    rows = load_data(str(arguments.test), modality=modality, classes=root.manifest.labels, need_labels=True)
    if modality == "image":
        images(root, arguments.train, rows, arguments.keep, artifacts)
        bench = [*FTC, "bench", "--data", arguments.test, *artifacts, "--time-budget", arguments.time_budget]
        print(checked(bench).stdout)
        shutil.rmtree(folder)
        return
    vocabulary(root, arguments.train, rows, ["--artifacts", folder / "trimmed"])
    checked([*FTC, "export", arguments.checkpoint, *artifacts])
    for keep in arguments.keep:
        made = checked([*FTC, "prune", arguments.checkpoint, "--data", arguments.train, "--keep", keep, *artifacts])
        print(f"keep {keep:g}: {made.wall_s:.0f} s\n{made.stdout}")
        pruned_artifact = open_artifact(folder / "artifacts" / f"{root.manifest.name}-keep-{keep:g}")
        for to in ("onnx", "tflite"):
            print(checked([*FTC, "quantize", pruned_artifact.path, "--to", to, *artifacts]).stdout)
        magnitude = accuracy_by_magnitude(arguments.checkpoint, keep, rows)
        print(f"keep {keep:g} by magnitude, nothing solved for: {magnitude:.4f}")
        theirs = accuracy_by_torch_pruning(pruned_artifact, arguments.checkpoint, rows)
        print(f"keep {keep:g} by Torch-Pruning's example, nothing solved for: {theirs:.4f}\n")
    both_lengths(arguments.checkpoint, arguments.test, folder, arguments.time_budget)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
