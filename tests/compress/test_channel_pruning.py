"""Pruning of convolutional networks: what goes together, what is kept to, and that the result is a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compress.choices import Importance
from compress.pruning.channel_reconstruction import rebuild_channels, restate_statistics, wanted_outputs
from compress.pruning.channel_scores import channel_scores
from compress.pruning.channel_selection import MULTIPLE, select_channels, work_of
from compress.pruning.channels import Channels, channels_of, cut_channels, layers_run
from compress.pruning.scores import Inputs
from compress.verbs import export, prune, quantize
from ftc.artifact import Artifact, open_artifact
from ftc.checkpoint import load, open_any
from ftc.data import Columns, Dataset
from ftc.errors import InputError
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task
from tests.conftest import IMAGE_LABELS, save_image_checkpoint

SIZES: dict[str, dict[str, Any]] = {
    "ResNet": {"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [1, 2], "layer_type": "bottleneck"},
    "MobileNetV1": {"depth_multiplier": 0.25, "image_size": 32},
    "MobileNetV2": {"depth_multiplier": 0.25, "image_size": 32},
    "RegNet": {"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [1, 2], "groups_width": 16},
    "EfficientNet": {"width_coefficient": 0.5, "depth_coefficient": 0.1, "image_size": 32, "hidden_dim": 640},
    "ConvNext": {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2, "image_size": 32, "patch_size": 2},
}


def save_network(path: Path, architecture: str) -> Path:
    """A small network of random weights whose batch normalizations have seen something."""
    import transformers

    save_image_checkpoint(path)  # its processor
    torch.manual_seed(0)
    labels = {"id2label": dict(enumerate(IMAGE_LABELS)), "label2id": {n: i for i, n in enumerate(IMAGE_LABELS)}}
    config = getattr(transformers, f"{architecture}Config")(**SIZES[architecture], **labels)
    model = getattr(transformers, f"{architecture}ForImageClassification")(config).train()
    with torch.no_grad():
        for _ in range(20):
            model(pixel_values=torch.randn(16, 3, 32, 32))
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def rows() -> Dataset:
    """Sixty-four labelled images of smooth noise."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)
    images = small.repeat(4, axis=1).repeat(4, axis=2)
    return Dataset(
        examples=list(images), labels=np.arange(64) % 3, source="noise", fingerprint="noise", columns=Columns()
    )


@pytest.fixture(scope="module", params=sorted(SIZES))
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return open_any(save_network(tmp_path_factory.mktemp(request.param) / "ckpt", request.param))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return open_any(save_network(tmp_path_factory.mktemp("resnet") / "ckpt", "ResNet"))


@pytest.fixture(scope="module")
def pruned(resnet: Artifact, rows: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return prune(resnet, tmp_path_factory.mktemp("pruned"), data=rows, given={"keep": 0.5})


def encoded(source: Artifact, rows: Dataset) -> Inputs:
    return {name: torch.from_numpy(values) for name, values in open_task(source).encode(rows.examples[:]).items()}


def answers(model: torch.nn.Module, inputs: Inputs) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = model(**inputs).logits.numpy()
    return found


def silent(_: int) -> None:
    """Progress that nobody watches."""


def without(member: Any, mask: np.ndarray) -> Callable[..., tuple[torch.Tensor]]:
    """A hook that gives a layer zeros for the channels that go."""
    gone = member.places[~mask[member.channels]]

    def hook(layer: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        inputs = arguments[0].clone()
        inputs[(slice(None), gone) if isinstance(layer, torch.nn.Conv2d) else (..., gone)] = 0
        return (inputs,)

    return hook


def select(model: Any, source: Artifact, inputs: Inputs, keep: float) -> tuple[tuple[Channels, ...], Any]:
    channels, uses = channels_of(model, inputs, source.path), layers_run(model, inputs)
    scores = channel_scores(model, channels, Importance.HESSIAN, [inputs], silent)
    return channels, select_channels(channels, scores, uses.values(), keep * work_of(uses.values()))


def test_cutting_channels_is_as_if_no_layer_read_them(network: Artifact, rows: Dataset) -> None:
    """Depthwise convolutions, residual sums, gates and groups: what goes is nowhere, what stays is what it was."""
    inputs = encoded(network, rows)
    model, masked = load(network.path), load(network.path)
    channels, kept = select(model, network, inputs, 0.6)
    names = {module: name for name, module in model.named_modules()}
    with ExitStack() as hooks:
        for each, mask in zip(channels, kept, strict=True):
            for reader in each.readers:
                layer = masked.get_submodule(names[reader.layer])
                hooks.enter_context(layer.register_forward_pre_hook(without(reader, mask)))
        wanted = answers(masked, inputs)
    for each, mask in zip(channels, kept, strict=True):
        cut_channels(each, mask)
    np.testing.assert_allclose(answers(model, inputs), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def test_the_budget_is_kept_to_and_widths_are_multiples(network: Artifact, rows: Dataset) -> None:
    inputs = encoded(network, rows)
    model = load(network.path)
    before = work_of(layers_run(model, inputs).values())
    channels, kept = select(model, network, inputs, 0.6)
    for each, mask in zip(channels, kept, strict=True):
        assert mask.all() or mask.sum() % MULTIPLE == 0
        assert mask.sum() >= each.size / 8
        cut_channels(each, mask)
    assert 0.4 * before < work_of(layers_run(model, inputs).values()) <= 0.6 * before


@pytest.mark.parametrize("architecture", ["ResNet", "ConvNext"])
def test_it_reloads_and_exports(architecture: str, rows: Dataset, tmp_path: Path) -> None:
    source = open_any(save_network(tmp_path / "ckpt", architecture))
    made = prune(source, tmp_path, data=rows, given={"keep": 0.6})
    record = made.manifest.pruning
    assert record is not None
    model = load(made.path)
    assert sum(parameter.numel() for parameter in model.parameters()) == record.parameters_after
    assert record.multiply_accumulates_before is not None
    assert record.multiply_accumulates_after is not None
    assert record.multiply_accumulates_after <= 0.6 * record.multiply_accumulates_before
    assert all(cut.kind == "channels" and cut.after <= cut.before for cut in record.removed)
    exported = export(open_artifact(made.path), tmp_path)
    batch = open_task(made).encode(rows.examples[:5])
    wanted = open_session(made).run(batch)["logits"]
    # random weights make large activations, and float32 rounds these
    np.testing.assert_allclose(open_session(exported).run(batch)["logits"], wanted, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("importance", list(Importance))
def test_a_channel_that_nothing_depends_on_scores_least(
    resnet: Artifact, rows: Dataset, importance: Importance
) -> None:
    model, inputs = load(resnet.path), encoded(resnet, rows)
    channels = channels_of(model, inputs, resnet.path)
    victim = next(each for each in channels if len(each.makers) == 1)
    norm = model.get_submodule(victim.name.replace("convolution", "normalization"))
    with torch.no_grad():
        for member in victim.makers:
            member.layer.weight[3] = 0
        for member in victim.readers:
            member.layer.weight[:, 3] = 0
        norm.weight[3] = norm.bias[3] = 0
    scores = channel_scores(model, channels, importance, [inputs], silent)
    found = scores[channels.index(victim)]
    assert found.argmin() == 3
    assert np.count_nonzero(found == 0) == 1


def test_least_squares_and_statistics_bring_answers_back(resnet: Artifact, rows: Dataset) -> None:
    inputs = encoded(resnet, rows)
    bare, rebuilt = load(resnet.path), load(resnet.path)
    wanted = answers(bare, inputs)
    errors = []
    for model in (bare, rebuilt):
        channels, kept = select(model, resnet, inputs, 0.5)
        uses = layers_run(model, inputs)
        outputs = wanted_outputs(model, uses, inputs)
        left = {name: np.arange(len(use.layer.weight)) for name, use in uses.items()}
        for each, mask in zip(channels, kept, strict=True):
            for maker in each.makers:
                name = next(name for name, use in uses.items() if use.layer is maker.layer)
                left[name] = np.setdiff1d(left[name], maker.places[~mask[maker.channels]])
            cut_channels(each, mask)
        model.requires_grad_(False)
        if model is rebuilt:
            rebuild_channels(model, outputs, left, inputs, silent)
        errors.append(np.square(answers(model, inputs) - wanted).mean())
    assert errors[1] < 0.3 * errors[0]


def test_statistics_that_the_data_does_not_have_are_made_up_for(resnet: Artifact, rows: Dataset) -> None:
    """As where normalizations were folded into the convolutions before them."""
    model, inputs = load(resnet.path), encoded(resnet, rows)
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.running_mean.zero_()
                norm.running_var.fill_(1)
                norm.weight.mul_(0.3)
    wanted = answers(model, inputs)
    restate_statistics(model, inputs)
    np.testing.assert_allclose(answers(model, inputs), wanted, rtol=1e-3, atol=1e-4)
    rebuild_channels(model, {}, {}, inputs, silent)
    np.testing.assert_allclose(answers(model, inputs), wanted, rtol=1e-3, atol=1e-4)


def test_batch_normalizations_have_the_statistics_of_what_they_are_given(pruned: Artifact, rows: Dataset) -> None:
    checked = len(rows) // 5
    deciding = rows.split(checked, 0)[1]
    assert deciding is not None
    model, seen = load(pruned.path), []
    with ExitStack() as hooks:
        for norm in model.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                hooks.enter_context(norm.register_forward_pre_hook(lambda *call: seen.append(call)))
        answers(model, encoded(pruned, deciding))
    assert seen
    for norm, (values,) in seen:
        torch.testing.assert_close(norm.running_mean, values.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(norm.running_var, values.var((0, 2, 3), correction=0), rtol=1e-3, atol=1e-4)


def test_all_of_it_kept_is_the_network_as_it_was(resnet: Artifact, rows: Dataset, tmp_path: Path) -> None:
    whole = prune(resnet, tmp_path, data=rows, given={"keep": 1.0}).manifest.pruning
    assert whole is not None
    assert whole.parameters_before == whole.parameters_after
    assert whole.shapes == {}


def test_static_int8_of_the_result(pruned: Artifact, rows: Dataset, tmp_path: Path) -> None:
    int8 = quantize(pruned, tmp_path, data=rows)
    assert [link.step.name for link in int8.manifest.lineage if link.step] == [
        "prune-channels",
        "export-onnx",
        "quantize-onnx-static",
    ]
    assert int8.manifest.parity is not None


def test_it_is_pruned_again(pruned: Artifact, rows: Dataset, tmp_path: Path) -> None:
    again = prune(pruned, tmp_path, data=rows, given={"keep": 0.9, "importance": Importance.TAYLOR})
    first, second = pruned.manifest.pruning, again.manifest.pruning
    assert first is not None
    assert second is not None
    assert second.parameters_before == first.parameters_after > second.parameters_after
    assert again.path.name.endswith("keep-0.9-taylor")
    load(again.path)


def test_labels_change_nothing_but_the_record(
    pruned: Artifact, resnet: Artifact, rows: Dataset, tmp_path: Path
) -> None:
    record = pruned.manifest.pruning
    assert record is not None
    assert (record.metric, record.rows) == ("accuracy", 12)
    bare = prune(resnet, tmp_path, data=replace(rows, labels=None), given={"keep": 0.5}).manifest.pruning
    assert bare is not None
    assert (bare.metric, bare.rows) == (None, 0)


def test_less_than_must_stay_is_refused_with_how_much_that_is(resnet: Artifact, rows: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"do \d+\.\d% of the work. Keep more"):
        prune(resnet, tmp_path, data=rows, given={"keep": 0.01})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("keep", [0.0, -1.0, 1.5, float("nan")])
def test_parts_that_make_no_sense_are_refused(resnet: Artifact, rows: Dataset, tmp_path: Path, keep: float) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        prune(resnet, tmp_path, data=rows, given={"keep": keep})


def test_too_few_rows_are_refused_with_how_many_are_needed(resnet: Artifact, rows: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 32 rows"):
        prune(resnet, tmp_path, data=rows.head(31))


def test_importance_is_an_option_of_channels_alone(text_root: Artifact, text_data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--importance is no option"):
        prune(text_root, tmp_path, data=text_data, given={"importance": Importance.TAYLOR})


def test_a_layer_that_runs_twice_is_refused(resnet: Artifact, rows: Dataset) -> None:
    model, inputs = load(resnet.path), encoded(resnet, rows)
    first = model.resnet.encoder.stages[1].layers[1]
    model.resnet.encoder.stages[1].layers.append(first)
    with pytest.raises(InputError, match="more than once"):
        layers_run(model, inputs)


def test_a_shape_that_is_none_of_the_layer_is_refused(pruned: Artifact) -> None:
    record = pruned.manifest.pruning
    assert record is not None
    names = list(record.shapes)
    convolution = next(name for name in names if name.endswith("convolution"))
    norm = next(name for name in names if name.endswith("normalization"))
    for name, shape in ((convolution, (8, 8)), (norm, (8, 1)), ("resnet.pooler", (8,))):
        tampered = replace(pruned.manifest, pruning=replace(record, shapes={**record.shapes, name: shape}))
        with pytest.raises(InputError, match="no linear layer, convolution or batch"):
            open_session(Artifact(pruned.path, tampered))
