"""Pruning of encoders: what stays, how the rest makes up for it, and that the result is a checkpoint like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.pruning.encoder import Kept, layers_of
from compress.pruning.reconstruction import rebuild
from compress.pruning.scores import Inputs, Scores, scores
from compress.pruning.selection import Cost, select
from compress.verbs import export, prune, quantize
from ftc.artifact import Artifact, open_artifact
from ftc.checkpoint import load, open_any
from ftc.data import Dataset
from ftc.data import load as load_data
from ftc.errors import InputError
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task
from tests.conftest import TEXT_LABELS, WORDS, save_image_checkpoint, save_text_checkpoint


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two hundred labelled texts."""
    path = tmp_path_factory.mktemp("rows") / "rows.tsv"
    words = np.random.default_rng(0).integers(0, len(WORDS), (200, 12))
    texts = [" ".join(WORDS[number] for number in row[: 3 + place % 10]) for place, row in enumerate(words)]
    lines = [f"{text}\t{place % 2}" for place, text in enumerate(texts)]
    path.write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    return load_data(str(path), modality="text", classes=TEXT_LABELS, need_labels=True)


@pytest.fixture(scope="module")
def pruned(text_checkpoint: Path, rows: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return prune(open_any(text_checkpoint), tmp_path_factory.mktemp("pruned"), data=rows, given={"keep": 0.5})


def batches(checkpoint: Path, rows: Dataset) -> list[Inputs]:
    task = open_task(open_any(checkpoint))
    made = []
    for start in range(0, len(rows), 20):
        encoded = task.encode(rows.examples[start : start + 20])
        made.append({name: torch.from_numpy(values) for name, values in encoded.items()})
    return made


def answers(model: torch.nn.Module, checkpoint: Path, rows: Dataset) -> np.ndarray:
    with torch.no_grad():
        return np.concatenate([model(**inputs).logits.numpy() for inputs in batches(checkpoint, rows)])


def silent(_: int) -> None:
    """Progress that nobody watches."""


@given(
    layers=st.lists(
        st.tuples(
            st.lists(st.floats(0, 1e6), min_size=1, max_size=6), st.lists(st.floats(0, 1e6), min_size=1, max_size=40)
        ),
        min_size=1,
        max_size=4,
    ),
    share=st.floats(0, 1),
)
def test_what_stays_is_within_the_budget_and_the_best_of_its_layer(
    layers: list[tuple[list[float], list[float]]], share: float
) -> None:
    found = [Scores(np.array(heads), np.array(neurons)) for heads, neurons in layers]
    cost = Cost(head=50.0, neuron=1.0)
    least = sum(cost.head + min(8, len(layer.neurons)) for layer in found)
    most = sum(cost.head * len(layer.heads) + len(layer.neurons) for layer in found)
    kept = select(found, [cost] * len(found), least + share * (most - least))
    spent = sum(cost.head * parts.heads.sum() + parts.neurons.sum() for parts in kept)
    assert spent <= least + share * (most - least) + 1e-6
    for layer, parts in zip(found, kept, strict=True):
        assert parts.heads.any()
        assert parts.neurons.any()
        for values, mask in ((layer.heads, parts.heads), (layer.neurons, parts.neurons)):
            if not mask.all():
                assert values[mask].min() >= values[~mask].max()
    if share == 1:
        assert all(parts.heads.all() and parts.neurons.all() for parts in kept)


def test_a_part_that_nothing_depends_on_scores_nothing(text_checkpoint: Path, rows: Dataset) -> None:
    model = load(text_checkpoint)
    layers = layers_of(model, text_checkpoint)
    with torch.no_grad():
        layers[0].mixed.weight[:, 8:16] = 0  # the second head
        layers[1].down.weight[:, 5] = 0
    found = scores(model, layers, batches(text_checkpoint, rows), silent)
    assert found[0].heads[1] == 0
    assert (found[0].heads[[0, 2, 3]] > 0).all()
    assert found[1].neurons[5] == 0
    assert np.count_nonzero(found[1].neurons) == 63


def test_what_is_said_twice_can_go_without_loss(text_checkpoint: Path, rows: Dataset) -> None:
    """A network whose second half of heads and neurons repeats the first is rebuilt from the first alone."""
    model = load(text_checkpoint)
    layers = layers_of(model, text_checkpoint)
    with torch.no_grad():
        for layer in layers:
            for linear in (layer.query, layer.key, layer.value, layer.up):
                half = linear.out_features // 2
                linear.weight[half:] = linear.weight[:half]
                linear.bias[half:] = linear.bias[:half]
    wanted = answers(model, text_checkpoint, rows)
    half_of = [Kept(np.arange(4) < 2, np.arange(64) < 32)] * 2
    rebuild(model, layers, half_of, batches(text_checkpoint, rows), silent)
    assert [(layer.heads, layer.neurons) for layer in layers] == [(2, 32), (2, 32)]
    assert np.abs(answers(model, text_checkpoint, rows) - wanted).mean() < 0.01 * np.abs(wanted).mean()


def test_least_squares_beats_cutting_alone(text_checkpoint: Path, rows: Dataset) -> None:
    from compress.pruning.encoder import cut

    kept = [Kept(np.array([True, False, True, True]), np.arange(64) % 2 == 0)] * 2
    wanted = answers(load(text_checkpoint), text_checkpoint, rows)
    rebuilt, bare = load(text_checkpoint), load(text_checkpoint)
    rebuild(rebuilt, layers_of(rebuilt, text_checkpoint), kept, batches(text_checkpoint, rows), silent)
    for layer, parts in zip(layers_of(bare, text_checkpoint), kept, strict=True):
        cut(layer, parts)
    error, bare_error = (np.square(answers(model, text_checkpoint, rows) - wanted).mean() for model in (rebuilt, bare))
    assert error < 0.5 * bare_error


def test_all_of_it_kept_is_the_network_as_it_was(text_checkpoint: Path, rows: Dataset, tmp_path: Path) -> None:
    whole = prune(open_any(text_checkpoint), tmp_path, data=rows, given={"keep": 1.0})
    assert whole.manifest.parity is not None
    assert whole.manifest.parity.max_abs_difference < 1e-3


@pytest.mark.parametrize("architecture", ["Bert", "Roberta", "DistilBert", "Electra"])
def test_encoders_are_pruned_reloaded_and_exported(architecture: str, rows: Dataset, tmp_path: Path) -> None:
    positions = {"max_position_embeddings": 80} if architecture == "Roberta" else {}
    checkpoint = save_text_checkpoint(tmp_path / "ckpt", architecture=architecture, **positions)
    _prune_and_export(open_any(checkpoint), rows, tmp_path)


@pytest.mark.parametrize("architecture", ["ViT", "DeiT"])
def test_image_encoders_are_pruned_reloaded_and_exported(
    architecture: str, image_data: Dataset, tmp_path: Path
) -> None:
    checkpoint = save_image_checkpoint(tmp_path / "ckpt", architecture=architecture)
    twice = replace(
        image_data,
        examples=[*image_data.examples, *image_data.examples],
        labels=np.concatenate([image_data.labels, image_data.labels]),  # type: ignore[list-item]
    )
    _prune_and_export(open_any(checkpoint), twice, tmp_path)


def _prune_and_export(root: Artifact, data: Dataset, place: Path) -> None:
    made = prune(root, place, data=data, given={"keep": 0.6})
    record = made.manifest.pruning
    assert record is not None
    network = load(made.path)
    assert sum(parameter.numel() for parameter in network.parameters()) == record.parameters_after
    assert record.parameters_after == made.manifest.facts.parameters < record.parameters_before
    assert record.multiply_accumulates_before is not None
    assert record.multiply_accumulates_after is not None
    assert record.multiply_accumulates_after < record.multiply_accumulates_before
    layers = layers_of(network, made.path)
    encoder = sum(layer.parameters for layer in layers)
    whole = sum(layer.parameters for layer in layers_of(load(root.path), root.path))
    assert 0.4 * whole < encoder <= 0.6 * whole
    after = {(cut.part, cut.kind): cut.after for cut in record.removed}
    assert after == {(layer.name, "heads"): layer.heads for layer in layers} | {
        (layer.name, "neurons"): layer.neurons for layer in layers
    }
    assert type(network).__name__ == type(load(root.path)).__name__
    exported = export(open_artifact(made.path), place)
    assert exported.manifest.parity is not None, "compared with the pruned network"
    assert exported.manifest.pruning == record
    task = open_task(made)
    batch = task.encode(data.examples[:5])
    np.testing.assert_allclose(
        open_session(exported).run(batch)["logits"], open_session(made).run(batch)["logits"], rtol=1e-3, atol=1e-4
    )


def test_the_result_is_quantized_like_any_checkpoint(pruned: Artifact, tmp_path: Path) -> None:
    int8 = quantize(pruned, tmp_path)
    assert [link.step.name for link in int8.manifest.lineage if link.step] == [
        "prune-encoder",
        "export-onnx",
        "quantize-onnx-dynamic",
    ]
    assert int8.manifest.parity is not None


def test_it_can_be_pruned_again(pruned: Artifact, rows: Dataset, tmp_path: Path) -> None:
    again = prune(pruned, tmp_path, data=rows, given={"keep": 0.7})
    first, second = pruned.manifest.pruning, again.manifest.pruning
    assert first is not None
    assert second is not None
    assert second.parameters_before == first.parameters_after > second.parameters_after
    assert load(again.path) is not None


def test_the_network_trains_on(pruned: Artifact, rows: Dataset) -> None:
    network = load(pruned.path).requires_grad_(True)
    assert rows.labels is not None
    inputs = batches(pruned.path, rows)[0]
    network(**inputs, labels=torch.from_numpy(rows.labels[:20])).loss.backward()
    assert all(parameter.grad is not None for parameter in network.bert.encoder.parameters())


def test_scores_are_told_for_labelled_rows_alone(pruned: Artifact, rows: Dataset, tmp_path: Path) -> None:
    record = pruned.manifest.pruning
    assert record is not None
    assert record.metric == "accuracy"
    assert record.rows == 40
    assert record.score_before is not None
    assert record.score_after is not None
    bare = prune(open_any(Path(pruned.manifest.root_path)), tmp_path, data=replace(rows, labels=None)).manifest.pruning
    assert bare is not None
    assert (bare.metric, bare.score_before, bare.score_after, bare.rows) == (None, None, None, 0)


def test_it_is_the_same_every_time(text_checkpoint: Path, rows: Dataset, pruned: Artifact, tmp_path: Path) -> None:
    again = prune(open_any(text_checkpoint), tmp_path, data=rows, given={"keep": 0.5})
    assert again.manifest.id == pruned.manifest.id
    assert again.manifest.pruning == pruned.manifest.pruning


@pytest.mark.parametrize("keep", [0.0, -0.5, 1.01, float("nan")])
def test_parts_that_make_no_sense_are_refused(
    text_checkpoint: Path, rows: Dataset, tmp_path: Path, keep: float
) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        prune(open_any(text_checkpoint), tmp_path, data=rows, given={"keep": keep})


def test_less_than_an_encoder_needs_is_refused(text_checkpoint: Path, rows: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Keep more"):
        prune(open_any(text_checkpoint), tmp_path, data=rows, given={"keep": 0.01})
    assert not any(tmp_path.iterdir())


def test_too_few_rows_are_refused_with_how_many_are_needed(
    text_checkpoint: Path, rows: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="at least 32 rows"):
        prune(open_any(text_checkpoint), tmp_path, data=rows.head(31))


def test_layers_that_share_weights_are_refused(rows: Dataset, tmp_path: Path) -> None:
    checkpoint = save_text_checkpoint(tmp_path / "albert", architecture="Albert", embedding_size=16)
    with pytest.raises(InputError, match="AlbertForSequenceClassification"):
        prune(open_any(checkpoint), tmp_path, data=rows)


def test_exports_are_not_pruned(text_onnx: Artifact, rows: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="before they are exported"):
        prune(text_onnx, tmp_path, data=rows)


def test_a_shape_that_is_none_of_a_linear_layer_is_refused(pruned: Artifact) -> None:
    record = pruned.manifest.pruning
    assert record is not None
    for name, shape in (("bert.pooler", (8, 8)), ("nowhere", (8, 8)), ("bert.encoder.layer.0.output.dense", (8,))):
        tampered = replace(pruned.manifest, pruning=replace(record, shapes={**record.shapes, name: shape}))
        with pytest.raises(InputError, match="no linear layer"):
            open_session(Artifact(pruned.path, tampered))


def test_a_shape_that_is_not_that_of_the_weights_is_refused(pruned: Artifact) -> None:
    record = pruned.manifest.pruning
    assert record is not None
    name = next(iter(record.shapes))
    tampered = replace(pruned.manifest, pruning=replace(record, shapes={**record.shapes, name: (3, 5)}))
    with pytest.raises(InputError, match="another shape"):
        open_session(Artifact(pruned.path, tampered))
