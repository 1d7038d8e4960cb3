"""Pruning for speed: shapes are tried until one is as fast as asked; how fast a shape is, the tests decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from compress.choices import Runtime
from compress.pruning.encoder import Kept
from compress.pruning.latency import Form, Line, Trials
from compress.verbs import export, prune
from ftc.artifact import Artifact, open_artifact
from ftc.checkpoint import load
from ftc.cli import show
from ftc.data import Dataset
from ftc.errors import InputError

REST, HEAD, NEURON = 0.1, 0.07, 0.0027
"""Of a machine on which a network of 2 layers, 4 heads and 64 neurons each takes 1.0056."""


def takes(kept: Sequence[Kept]) -> float:
    return REST + sum(HEAD * part.heads.sum() + NEURON * part.neurons.sum() for part in kept)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Speeds that were asked for, on a machine that keeps to a line."""
    return machine(monkeypatch, lambda _tried: 1.0)


def machine(monkeypatch: pytest.MonkeyPatch, as_fast: Callable[[int], float]) -> list[float]:
    """:param as_fast: as what the line says, after so many shapes were tried"""
    asked: list[float] = []

    def speed_of(_trials: Trials, kept: Sequence[Kept]) -> float:
        asked.append(as_fast(len(asked)) / takes(kept))
        return asked[-1]

    monkeypatch.setattr(Trials, "speed_of", speed_of)
    return asked


def options(target: float, runtime: Runtime = Runtime.TORCH) -> dict[str, object]:
    return {"target_speedup": target, "runtime": runtime}


def test_a_shape_is_chosen_that_is_as_fast_as_asked(
    text_root: Artifact, text_data: Dataset, tmp_path: Path, tried: list[float]
) -> None:
    made = prune(text_root, tmp_path, data=text_data, given=options(1.6))
    record = made.manifest.pruning
    assert record is not None
    assert record.speed is not None
    assert record.speed.measured == pytest.approx(1.6, rel=0.1)
    assert record.speed.predicted == pytest.approx(1.6, rel=0.1)
    assert record.speed.measured == tried[-1], "what was measured is of the shape that was taken"
    assert record.parameters_after < record.parameters_before
    assert open_artifact(made.path).manifest == made.manifest
    assert any("1.6x was asked for" in line for line in show.pruning(record))


def test_a_machine_that_is_slower_than_predicted_is_asked_for_more(
    text_root: Artifact, text_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = machine(monkeypatch, lambda tried: 1.0 if tried < 4 else 0.8)
    record = prune(text_root, tmp_path, data=text_data, given=options(1.8)).manifest.pruning
    assert tried[4] < 1.6, "the first shape missed"
    assert record.speed.measured == pytest.approx(1.8, rel=0.1)
    assert record.speed.predicted > 2.0


def test_more_than_the_smallest_shape_reaches_is_an_error(
    text_root: Artifact, text_data: Dataset, tmp_path: Path, tried: list[float]
) -> None:
    with pytest.raises(InputError, match=r"--target-speedup 50 is more than .* about [2-5]\.\dx"):
        prune(text_root, tmp_path, data=text_data, given=options(50.0))
    assert not list(tmp_path.iterdir())


def unchanged(shape: Artifact, _place: Path) -> Artifact:
    return shape


def exported(shape: Artifact, place: Path) -> Artifact:
    return export(shape, place.parent, output=place)


@pytest.mark.parametrize("form", [unchanged, exported])
def test_shapes_are_brought_into_a_form_and_timed(
    text_root: Artifact,
    text_data: Dataset,
    tmp_path: Path,
    form: Form,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("compress.pruning.latency._BLOCK_S", 0.002)
    from ftc.tasks.task import open_task

    inputs = open_task(text_root).encode(text_data.examples[:1])
    trials = Trials(text_root, form, inputs, tmp_path, lambda _: None)
    few = tuple(Kept(np.arange(4) < 1, np.arange(64) < 8) for _ in range(2))
    assert trials.speed_of(few) > 0
    shaped = load_shapes(tmp_path / "1")
    assert shaped == (8, 8), "one head of 8, and eight neurons"
    assert trials.speed_of(few[:1]) > 0
    assert json.loads((tmp_path / "2" / "config.json").read_text())["num_hidden_layers"] == 1


def load_shapes(place: Path) -> tuple[int, int]:
    from safetensors import safe_open

    with safe_open(place / "model.safetensors", "np") as file:
        names = ("attention.self.query", "intermediate.dense")
        found = [file.get_slice(f"bert.encoder.layer.0.{name}.weight").get_shape()[0] for name in names]
    return found[0], found[1]


def test_what_was_cut_for_speed_is_a_checkpoint(
    text_root: Artifact, text_data: Dataset, tmp_path: Path, tried: list[float]
) -> None:
    made = prune(text_root, tmp_path, data=text_data, given=options(1.6))
    assert sum(p.numel() for p in load(made.path).parameters()) == made.manifest.pruning.parameters_after
    assert export(made, tmp_path).manifest.pruning == made.manifest.pruning


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target_speedup": 1.0}, "above 1"),
        ({"target_speedup": float("nan")}, "above 1"),
        ({"target_speedup": 2.0, "keep": 0.5}, "choose one"),
        ({"target_speedup": 2.0, "layers": 1}, "choose one"),
        ({"runtime": Runtime.TORCH}, "--runtime is no option"),
    ],
)
def test_options_that_make_no_sense(
    text_root: Artifact, text_data: Dataset, tmp_path: Path, given: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        prune(text_root, tmp_path, data=text_data, given=given)


def test_a_line_is_laid_through_what_was_measured(
    text_root: Artifact, text_data: Dataset, tmp_path: Path, tried: list[float]
) -> None:
    from ftc.tasks.task import open_task

    inputs = open_task(text_root).encode(text_data.examples[:1])
    line = Trials(text_root, unchanged, inputs, tmp_path, lambda _: None).line()
    assert isinstance(line, Line)
    assert line.head == pytest.approx(HEAD, rel=0.3)
    assert line.neuron == pytest.approx(NEURON, rel=0.3)


def test_networks_of_other_depths_tell_what_a_layer_takes_besides_its_parts(
    text_root: Artifact, text_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftc.tasks.task import open_task

    layer, head, neuron = 0.122, 0.05, 0.002  # with 0.1 for the rest, the whole network takes 1

    def speed_of(_trials: Trials, kept: Sequence[Kept]) -> float:
        return 1 / (0.1 + sum(layer + head * part.heads.sum() + neuron * part.neurons.sum() for part in kept))

    monkeypatch.setattr(Trials, "speed_of", speed_of)
    inputs = open_task(text_root).encode(text_data.examples[:1])
    line = Trials(text_root, unchanged, inputs, tmp_path, lambda _: None).line((1,))
    assert (line.rest, line.layer, line.head, line.neuron) == pytest.approx((0.1, layer, head, neuron), rel=1e-3)
