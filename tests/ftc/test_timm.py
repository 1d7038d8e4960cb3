"""timm's checkpoints, as timm saves them and as transformers' wrapper does: opened, exported, quantized, pruned."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.apply import apply
from compress.steps import STEPS
from compress.verbs import quantize
from ftc.artifact import Artifact, open_artifact
from ftc.checkpoint import load, open_any
from ftc.data import Dataset
from ftc.declared import Declared
from ftc.errors import InputError, MissingExtra
from ftc.runtimes.session import open_session
from ftc.tasks.encoding import ImageEncoder
from ftc.tasks.task import open_task
from serve.decoder.decode import cropped
from serve.requirements import direct
from tests.conftest import IMAGE_LABELS

timm = pytest.importorskip("timm", reason="timm is not installed: pip install -c constraints.txt -e '.[timm]'")

SMALL = {"resnet10t": {"channels": [16, 32, 48, 64], "stem_width": 16}, "mobilenetv3_small_050": {}}
"""What the networks are made with besides: timm writes it into config.json, and it must be read from there."""

LEAST = {"input_size": (3, 64, 64), "crop_pct": 0.875, "interpolation": "bicubic", "crop_mode": "center"}


def network(architecture: str = "resnet10t") -> Any:
    """A randomly initialised classifier whose answers are far enough apart to be told from rounding."""
    import torch

    torch.manual_seed(0)
    model = timm.create_model(architecture, num_classes=len(IMAGE_LABELS), **SMALL[architecture]).eval()
    with torch.no_grad():
        model.get_classifier().weight.mul_(30)
    return model


def saved(path: Path, architecture: str = "resnet10t", **data: object) -> Path:
    """What timm writes for its hub."""
    from timm.models import save_for_hf

    named = {"label_names": list(IMAGE_LABELS)}
    save_for_hf(network(architecture), path, named, safe_serialization=True, data_config=LEAST | data)
    return path


def edited(path: Path, target: Path, changes: Mapping[str, object], absent: tuple[str, ...] = ()) -> Path:
    """A copy with other values in config.json."""
    shutil.copytree(path, target)
    config = json.loads((target / "config.json").read_text())
    kept = {name: value for name, value in (config | dict(changes)).items() if name not in absent}
    (target / "config.json").write_text(json.dumps(kept))
    return target


def torch_of(inputs: Mapping[str, np.ndarray]) -> Any:
    import torch

    return torch.from_numpy(inputs["pixel_values"])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("timm") / "hub")


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in LEAST.items()}
    config = TimmWrapperConfig.from_dict(
        {
            "architecture": "resnet10t",
            "model_args": SMALL["resnet10t"],
            "pretrained_cfg": plain,
            "label_names": list(IMAGE_LABELS),
            "num_classes": 3,
        }
    )
    model = TimmWrapperForImageClassification(config)
    model.timm_model.load_state_dict(network().state_dict())
    path = tmp_path_factory.mktemp("timm") / "wrapped"
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module", params=["hub", "wrapped"])
def root(request: pytest.FixtureRequest) -> Artifact:
    return open_any(request.getfixturevalue(request.param))


def test_it_answers_as_timm_does(root: Artifact, image_data: Dataset) -> None:
    import torch

    assert root.manifest.labels == IMAGE_LABELS
    assert root.manifest.task == "image-classification"
    inputs = open_task(root).encode(image_data.examples[:4])
    with torch.no_grad():
        expected = network()(torch_of(inputs)).numpy()
    np.testing.assert_allclose(open_session(root).run(inputs)["logits"], expected, atol=1e-5)
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"crop_pct": 0.95, "interpolation": "bilinear", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.4, 0.3)},
        {"crop_pct": 1.0},
        {"crop_mode": "squash", "crop_pct": 0.9},
        {"crop_mode": "squash", "input_size": (3, 64, 96)},
    ],
)
def test_images_of_any_size_become_what_timm_makes_of_them(data: dict[str, object], tmp_path: Path) -> None:
    from PIL import Image

    path = saved(tmp_path / "hub", **data)
    spec = open_any(path).manifest.preprocessing
    assert spec.kind == "image"
    settings_of = timm.data.resolve_data_config(
        pretrained_cfg=json.loads((path / "config.json").read_text())["pretrained_cfg"]
    )
    transform = timm.data.create_transform(**settings_of, is_training=False)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(height=st.integers(8, 130), width=st.integers(8, 130))
    def check(height: int, width: int) -> None:
        image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        expected = transform(Image.fromarray(image)).numpy()
        np.testing.assert_allclose(ImageEncoder(spec)([image])["pixel_values"][0], expected, rtol=0, atol=1e-5)

    check()


@given(height=st.integers(10, 60), width=st.integers(10, 60))
def test_a_device_cuts_the_same_middle_out(height: int, width: int) -> None:
    from ftc.tasks.encoding import center_cropped

    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    for even in (False, True):
        ours = center_cropped(image, 10, 10, even=even)
        np.testing.assert_array_equal(cropped(image, 10, 10, even=even), ours)


@pytest.mark.parametrize("step", ["export-onnx", "export-tflite"])
def test_exports_keep_its_answers(hub: Path, step: str, tmp_path: Path) -> None:
    try:
        kind = STEPS.load(step)
    except MissingExtra as missing:
        pytest.skip(str(missing))
    made = apply(kind(), open_any(hub), tmp_path / "made")
    assert made.manifest.parity is not None
    assert made.manifest.parity.max_abs_difference < 1e-3
    assert "model_library" not in made.manifest.run.session_config


@pytest.mark.parametrize("architecture", ["resnet10t", "mobilenetv3_small_050"])
def test_half_of_it_is_pruned_and_opened_again(architecture: str, image_data: Dataset, tmp_path: Path) -> None:
    source = open_any(saved(tmp_path / "hub", architecture, input_size=(3, 32, 32)))
    pruned = apply(STEPS.load("prune-channels")(0.5), source, tmp_path / "pruned", data=image_data)
    record = pruned.manifest.pruning
    assert record is not None
    assert record.multiply_accumulates_after is not None
    assert record.multiply_accumulates_before is not None
    assert record.multiply_accumulates_after <= 0.51 * record.multiply_accumulates_before
    again = open_artifact(pruned.path)
    inputs = open_task(again).encode(image_data.examples[:2])
    model = load(pruned.path)
    assert sum(parameter.numel() for parameter in model.parameters()) == record.parameters_after
    np.testing.assert_allclose(
        open_session(again).run(inputs)["logits"], model(torch_of(inputs)).logits.numpy(), atol=1e-5
    )
    assert "timm" in direct(again.manifest)


def test_a_pruned_one_is_quantized(image_data: Dataset, tmp_path: Path) -> None:
    source = open_any(saved(tmp_path / "hub", input_size=(3, 32, 32)))
    pruned = apply(STEPS.load("prune-channels")(0.8), source, tmp_path / "pruned", data=image_data)
    int8 = quantize(pruned, tmp_path / "made", mode="static", data=image_data)
    assert int8.manifest.facts.size_bytes < 0.5 * pruned.manifest.facts.size_bytes
    assert "timm" not in direct(int8.manifest)


@pytest.mark.parametrize(
    ("changes", "absent", "wanted"),
    [
        ({"label_names": {"0": "a", "1": "b", "2": "c"}}, (), ("a", "b", "c")),
        ({}, ("label_names",), ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({"label_names": ["crane", "crane", "dog"]}, (), ("crane (0)", "crane (1)", "dog")),
    ],
)
def test_labels(
    hub: Path, tmp_path: Path, changes: dict[str, object], absent: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    assert open_any(edited(hub, tmp_path / "copy", changes, absent)).manifest.labels == wanted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_names": ["a", "b"]}, "names 2 labels for 3 classes"),
        ({"label_names": {"0": "a", "2": "c", "3": "d"}}, "without gaps"),
        ({"pretrained_cfg": {"input_size": [1, 64, 64]}}, "3 channels"),
        ({"pretrained_cfg": {"input_size": [3, 64, 64], "crop_mode": "border"}}, "'border'"),
        ({"pretrained_cfg": {"input_size": [3, 64, 80]}}, "64 x 80"),
        ({"pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": 1.2}}, "1.2"),
        ({"pretrained_cfg": {"input_size": [3, 64, 64], "interpolation": "random"}}, "'random'"),
        ({"pretrained_cfg": 3}, "makes no sense"),
    ],
)
def test_what_ftc_does_not_know_is_refused(hub: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_any(edited(hub, tmp_path / "copy", changes))


def test_a_network_that_timm_does_not_know(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="resnet9000"):
        open_session(open_any(edited(hub, tmp_path / "copy", {"architecture": "resnet9000"})))


def test_what_else_is_declared(hub: Path) -> None:
    with pytest.raises(InputError, match="not for text-classification"):
        open_any(hub, Declared(task="text-classification"))
    with pytest.raises(InputError, match="leave out --processor"):
        open_any(hub, Declared(processor="tf"))


def test_without_timm_the_message_says_what_brings_it(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_any(hub)
    monkeypatch.setitem(sys.modules, "timm", None)
    for attempt in (lambda: open_any(hub), lambda: open_session(opened)):
        with pytest.raises(MissingExtra, match=r"'timm'.*\.\[timm\]"):
            attempt()
