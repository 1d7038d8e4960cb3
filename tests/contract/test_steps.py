"""One suite over every registered step: registering a step buys it these tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from compress.apply import apply
from compress.pruning.encoder import Kept
from compress.pruning.latency import Trials
from compress.step import Step, options_of
from compress.steps import STEPS
from ftc import golden
from ftc.artifact import Artifact, open_artifact, sha256
from ftc.checkpoint import open_any
from ftc.data import Dataset
from ftc.errors import InputError, MissingExtra
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task

PARENTS = {
    "huggingface": "text_root",
    "keras": "keras_root",
    "onnx": "text_onnx",
    "tflite": "text_tflite",
    "openvino": "text_openvino",
}
"""For each format that a step takes, the fixture that makes one."""

OWN_PARENTS = {"prune-channels": "image_root"}
"""For steps that take some models of a format alone."""


NEEDED = {"distill": {"teacher": "text_root"}}
"""Options without a default, and the fixture that makes them."""

GIVEN = {"distill": {"fragments": True}}
"""Options that the fixtures' rows need, most of which are part of others."""


@dataclass(frozen=True)
class Work:
    """A step with what it was applied to, and what came of it."""

    step: Step
    source: Artifact
    data: Dataset | None
    before: dict[str, str]
    made: Artifact


def digests(directory: Path) -> dict[str, str]:
    files = [directory] if directory.is_file() else sorted(directory.rglob("*"))
    return {str(path): sha256(path) for path in files if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def untimed() -> Iterator[None]:
    """What a shape takes is counted: how fast this machine is now decides no test."""

    def speed_of(_trials: Trials, kept: Sequence[Kept]) -> float:
        return 1 / (0.1 + sum(0.07 * part.heads.sum() + 0.0027 * part.neurons.sum() for part in kept))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Trials, "speed_of", speed_of)
        yield


@pytest.fixture(scope="module", params=list(STEPS))
def step(request: pytest.FixtureRequest) -> Step:
    try:
        needed = NEEDED.get(request.param, {})
        fixtures = {name: request.getfixturevalue(fixture) for name, fixture in needed.items()}
        options = {**fixtures, **GIVEN.get(request.param, {})}
        made: Step = STEPS.load(request.param)(**options)
    except MissingExtra as missing:
        pytest.skip(str(missing))
    return made


@pytest.fixture(scope="module")
def source(step: Step, request: pytest.FixtureRequest) -> Artifact:
    fixture = OWN_PARENTS.get(step.name, PARENTS[STEPS.entries[step.name].takes])
    parent: Artifact = request.getfixturevalue(fixture)
    return parent


@pytest.fixture(scope="module")
def data(step: Step, source: Artifact, text_data: Dataset, image_data: Dataset) -> Dataset | None:
    if not step.needs_data:
        return None
    return text_data if source.manifest.preprocessing.kind == "text" else image_data


@pytest.fixture(scope="module")
def work(step: Step, source: Artifact, data: Dataset | None, tmp_path_factory: pytest.TempPathFactory) -> Work:
    before = digests(source.path)
    made = apply(step, source, tmp_path_factory.mktemp("made") / "made", data=data)
    return Work(step, source, data, before, made)


def test_it_is_a_frozen_value_whose_options_are_json(step: Step) -> None:
    assert is_dataclass(step)
    with pytest.raises((AttributeError, TypeError)):
        setattr(step, next((field.name for field in fields(step)), "any"), None)
    options = options_of(step)
    assert json.loads(json.dumps(options)) == {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}


def test_it_produces_what_the_table_says_and_leaves_its_parent_alone(work: Work) -> None:
    step, source, made = work.step, work.source, work.made
    assert digests(source.path) == work.before
    assert [path.name for path in made.path.parent.iterdir()] == ["made"]
    manifest = open_artifact(made.path, verify=True).manifest
    assert manifest == made.manifest
    assert manifest.format == STEPS.entries[step.name].makes
    assert manifest.parent_id == source.manifest.id
    assert manifest.root_id == source.manifest.root_id
    assert manifest.labels == source.manifest.labels
    assert manifest.parity is not None
    assert manifest.parity.lossy == step.lossy
    # a network of two small layers has no half to spare: that pruning keeps answers is shown where it has
    assert manifest.parity.label_agreement > 0.5 or manifest.pruning or manifest.training
    assert {entry.path for entry in manifest.files} >= {manifest.run.entry, golden.FILE_NAME}
    assert (manifest.data is not None) == step.needs_data


def test_what_it_makes_answers_like_its_golden_examples(work: Work) -> None:
    made = work.made
    task, session, kept = open_task(made), open_session(made), golden.read(made.path)
    for example, expected in zip(kept.examples, kept.expected, strict=True):
        answer = session.run(task.encode([example]))
        assert set(answer) == {spec.name for spec in made.manifest.outputs}
        np.testing.assert_allclose(answer[made.manifest.output][0], expected, atol=1e-5)


def test_the_same_again_is_the_same_artifact_and_does_nothing(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    written = (work.made.path / "ftc.json").stat().st_mtime_ns
    again = apply(work.step, work.source, work.made.path, data=work.data)
    assert again.manifest == work.made.manifest
    assert (work.made.path / "ftc.json").stat().st_mtime_ns == written
    assert "taken as it is" in capsys.readouterr().err


def test_other_content_in_its_place_is_not_overwritten(
    step: Step, source: Artifact, data: Dataset | None, tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "precious.txt").write_text("keep me")
    for replace_existing in (False, True):
        with pytest.raises(InputError, match="no artifact of ftc"):
            apply(step, source, tmp_path / "made", data=data, replace_existing=replace_existing)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["precious.txt"]


def test_it_refuses_what_it_does_not_take(
    step: Step, text_onnx: Artifact, text_checkpoint: Path, tmp_path: Path
) -> None:
    takes = STEPS.entries[step.name].takes
    other = text_onnx if takes != "onnx" else open_any(text_checkpoint)
    with pytest.raises(InputError, match=f"takes {takes}"):
        apply(step, other, tmp_path / "made")


def test_it_says_when_it_needs_data(step: Step, source: Artifact, tmp_path: Path) -> None:
    if step.needs_data:
        with pytest.raises(InputError, match="--data"):
            apply(step, source, tmp_path / "made")


def test_the_model_file_names_no_path_of_the_machine_that_made_it(work: Work) -> None:
    assert b"site-packages" not in work.made.model_path.read_bytes()
