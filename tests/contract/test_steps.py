"""One suite over every registered step: registering a step buys it these tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from compress.apply import apply
from compress.step import Step, options_of
from compress.steps import STEPS
from ftc import golden
from ftc.artifact import Artifact, open_artifact, sha256
from ftc.checkpoint import open_any
from ftc.data import Dataset
from ftc.errors import InputError
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task

Parent = Callable[[Step], Artifact]


@pytest.fixture(params=list(STEPS))
def step(request: pytest.FixtureRequest) -> Step:
    made: Step = STEPS.load(request.param)()
    return made


@pytest.fixture
def source(step: Step, text_checkpoint: Path, text_onnx: Artifact) -> Artifact:
    return {"huggingface": open_any(text_checkpoint), "onnx": text_onnx}[STEPS.entries[step.name].takes]


@pytest.fixture
def data(step: Step, text_data: Dataset) -> Dataset | None:
    return text_data if step.needs_data else None


def digests(directory: Path) -> dict[str, str]:
    return {str(path): sha256(path) for path in sorted(directory.rglob("*")) if path.is_file()}


def test_it_is_a_frozen_value_whose_options_are_json(step: Step) -> None:
    assert is_dataclass(step)
    with pytest.raises((AttributeError, TypeError)):
        setattr(step, fields(step)[0].name, None)
    options = options_of(step)
    assert json.loads(json.dumps(options)) == {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}


def test_it_produces_what_it_declares_and_leaves_its_parent_alone(
    step: Step, source: Artifact, data: Dataset | None, tmp_path: Path
) -> None:
    before = digests(source.path)
    made = apply(step, source, tmp_path / "made", data=data)
    assert digests(source.path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    manifest = open_artifact(made.path, verify=True).manifest
    assert manifest == made.manifest
    assert manifest.format == STEPS.entries[step.name].makes
    assert manifest.parent_id == source.manifest.id
    assert manifest.root_id == source.manifest.root_id
    assert manifest.labels == source.manifest.labels
    assert manifest.parity is not None
    assert manifest.parity.lossy == step.lossy
    assert manifest.parity.label_agreement > 0.5
    assert {entry.path for entry in manifest.files} >= {manifest.run.entry, golden.FILE_NAME}
    assert (manifest.data is not None) == step.needs_data


def test_what_it_makes_answers_like_its_golden_examples(
    step: Step, source: Artifact, data: Dataset | None, tmp_path: Path
) -> None:
    made = apply(step, source, tmp_path / "made", data=data)
    task, session, kept = open_task(made), open_session(made), golden.read(made.path)
    for example, expected in zip(kept.examples, kept.expected, strict=True):
        answer = session.run(task.encode([example]))
        assert set(answer) == {spec.name for spec in made.manifest.outputs}
        np.testing.assert_allclose(answer["logits"][0], expected, atol=1e-5)


def test_the_same_again_is_the_same_artifact_and_does_nothing(
    step: Step,
    source: Artifact,
    data: Dataset | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = apply(step, source, tmp_path / "made", data=data)
    written = (first.path / "ftc.json").stat().st_mtime_ns
    second = apply(step, source, tmp_path / "made", data=data)
    assert second.manifest == first.manifest
    assert (first.path / "ftc.json").stat().st_mtime_ns == written
    assert "taken as it is" in capsys.readouterr().err
    elsewhere = apply(step, source, tmp_path / "elsewhere", data=data)
    assert elsewhere.manifest.id == first.manifest.id


def test_other_content_in_its_place_is_not_overwritten(
    step: Step, source: Artifact, data: Dataset | None, tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "precious.txt").write_text("keep me")
    with pytest.raises(InputError, match="exists already with other content"):
        apply(step, source, tmp_path / "made", data=data)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["precious.txt"]


def test_it_refuses_what_it_does_not_accept(
    step: Step, text_int8: Artifact, text_checkpoint: Path, tmp_path: Path
) -> None:
    takes = STEPS.entries[step.name].takes
    other = text_int8 if takes != "onnx" else open_any(text_checkpoint)
    with pytest.raises(InputError, match=f"takes {takes}"):
        apply(step, other, tmp_path / "made")


def test_it_says_when_it_needs_data(step: Step, source: Artifact, tmp_path: Path) -> None:
    if step.needs_data:
        with pytest.raises(InputError, match="--data"):
            apply(step, source, tmp_path / "made")


def test_the_model_file_names_no_path_of_the_machine_that_made_it(
    step: Step, source: Artifact, data: Dataset | None, tmp_path: Path
) -> None:
    made = apply(step, source, tmp_path / "made", data=data)
    assert b"site-packages" not in made.model_path.read_bytes()
