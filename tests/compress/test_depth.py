"""Dropping encoder layers: which ones go, what the others do instead, and that the result is an ordinary checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from compress.pruning.depth import keep_layers, layers_to_keep, rebuild_layers
from compress.pruning.encoder import layers_of
from compress.pruning.scores import Inputs
from compress.verbs import export, prune
from ftc.artifact import Artifact, open_artifact
from ftc.checkpoint import load, open_any
from ftc.data import Columns, Dataset
from ftc.errors import InputError
from ftc.tasks.task import open_task
from tests.conftest import WORDS, save_image_checkpoint, save_text_checkpoint


@pytest.fixture(scope="module")
def rows() -> Dataset:
    words = np.random.default_rng(0).integers(0, len(WORDS), (80, 12))
    texts = [" ".join(WORDS[number] for number in row[: 3 + place % 10]) for place, row in enumerate(words)]
    return Dataset(texts, np.arange(80) % 2, source="words", fingerprint="words", columns=Columns())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return open_any(save_text_checkpoint(tmp_path_factory.mktemp("deep") / "ckpt", num_hidden_layers=4))


def batches(source: Artifact, rows: Dataset) -> list[Inputs]:
    task = open_task(source)
    made = []
    for start in range(0, len(rows), 20):
        encoded = task.encode(rows.examples[start : start + 20])
        made.append({name: torch.from_numpy(values) for name, values in encoded.items()})
    return made


def answers(model: torch.nn.Module, inputs: list[Inputs]) -> np.ndarray:
    with torch.no_grad():
        return np.concatenate([model(**batch).logits.numpy() for batch in inputs])


def silent(_: int) -> None:
    """Progress that nobody watches."""


def test_layers_that_change_nothing_go_first(tmp_path: Path, image_data: Dataset) -> None:
    """A ViT's layer whose projections to the stream are zero passes the stream on."""
    source = open_any(save_image_checkpoint(tmp_path / "ckpt", architecture="ViT"))
    model = load(source.path)
    layers = layers_of(model, source.path)
    with torch.no_grad():
        for linear in (layers[0].mixed, layers[0].down):
            linear.weight.zero_()
            linear.bias.zero_()
    inputs = batches(source, image_data)
    before = answers(model, inputs)
    assert layers_to_keep(model, layers, 1, inputs, silent) == (1,)
    np.testing.assert_array_equal(answers(model, inputs), before, err_msg="looking at it changes nothing")
    keep_layers(model, layers, (1,))
    assert model.config.num_hidden_layers == 1
    np.testing.assert_allclose(answers(model, inputs), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kept", [(0, 3), (1, 2), (2, 3)])
def test_layers_that_stay_do_the_work_of_those_that_go(root: Artifact, rows: Dataset, kept: tuple[int, ...]) -> None:
    inputs = batches(root, rows)
    bare, rebuilt = load(root.path), load(root.path)
    wanted = answers(bare, inputs)
    keep_layers(bare, layers_of(bare, root.path), kept)
    rebuild_layers(rebuilt, layers_of(rebuilt, root.path), kept, inputs, silent)
    error, bare_error = (np.square(answers(model, inputs) - wanted).mean() for model in (rebuilt, bare))
    assert error < 0.5 * bare_error


@pytest.mark.parametrize("architecture", ["Bert", "DistilBert", "Roberta"])
def test_the_result_is_an_ordinary_checkpoint(architecture: str, rows: Dataset, tmp_path: Path) -> None:
    import transformers

    positions = {"max_position_embeddings": 80} if architecture == "Roberta" else {}
    depth = {"num_hidden_layers": 3} | ({"n_layers": 3} if architecture == "DistilBert" else {})
    source = open_any(save_text_checkpoint(tmp_path / "ckpt", architecture=architecture, **depth, **positions))
    made = prune(source, tmp_path, data=rows, given={"layers": 2})
    record = made.manifest.pruning
    assert record is not None
    assert record.shapes == {}
    (cut,) = record.removed
    assert (cut.kind, cut.before, cut.after) == ("layers", 3, 2)
    assert record.parameters_after < record.parameters_before
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(made.path).eval()
    inputs = batches(source, rows)
    np.testing.assert_allclose(answers(plain, inputs), answers(load(made.path), inputs), rtol=1e-5, atol=1e-6)
    assert export(open_artifact(made.path), tmp_path).manifest.parity is not None


def test_narrow_layers_are_dropped_and_short_networks_narrowed(root: Artifact, rows: Dataset, tmp_path: Path) -> None:
    narrow = prune(root, tmp_path, data=rows, given={"keep": 0.6})
    short = prune(narrow, tmp_path, data=rows, given={"layers": 2})
    layers = layers_of(load(short.path), short.path)
    widths = [(layer.heads, layer.neurons) for layer in layers]
    (note,) = [note for note in short.manifest.notes if "encoder layers" in note]
    numbers = [int(number) - 1 for number in note.rpartition(": ")[2].split(", ")]
    old = layers_of(load(narrow.path), narrow.path)
    assert widths == [(old[number].heads, old[number].neurons) for number in numbers]
    again = prune(short, tmp_path, data=rows, given={"keep": 0.7}, output=tmp_path / "again")
    assert len(layers_of(load(again.path), again.path)) == 2


@pytest.mark.parametrize("layers", [0, 4, 9])
def test_more_layers_than_there_are_or_none_are_refused(
    root: Artifact, rows: Dataset, tmp_path: Path, layers: int
) -> None:
    with pytest.raises(InputError, match="has 4 encoder layers; give how many of them stay, 1 to 3"):
        prune(root, tmp_path, data=rows, given={"layers": layers})


def test_cuts_that_are_two_are_refused_together(root: Artifact, rows: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--layers and --keep are two cuts"):
        prune(root, tmp_path, data=rows, given={"layers": 2, "keep": 0.5})
    with pytest.raises(InputError, match="--layers and --vocabulary are two cuts"):
        prune(root, tmp_path, data=rows, given={"layers": 2}, vocabulary=True)


def test_networks_without_encoder_layers_are_named(image_checkpoint: Path, image_data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ResNetForImageClassification"):
        prune(open_any(image_checkpoint), tmp_path, data=image_data, given={"layers": 1})
