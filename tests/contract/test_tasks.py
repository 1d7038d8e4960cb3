"""One suite over every registered task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ftc import golden
from ftc.checkpoint import open_any
from ftc.golden import Golden
from ftc.runtimes.session import open_session
from ftc.tasks import TASKS
from ftc.tasks.task import Task, open_task


@pytest.fixture(params=list(TASKS))
def checkpoint(request: pytest.FixtureRequest, text_checkpoint: Path, image_checkpoint: Path) -> Path:
    return {"text-classification": text_checkpoint, "image-classification": image_checkpoint}[request.param]


@pytest.fixture
def task(checkpoint: Path) -> Task:
    return open_task(open_any(checkpoint))


def test_golden_examples_are_varied_and_repeatable(task: Task) -> None:
    first, second = task.golden_examples(), task.golden_examples()
    assert len(first) >= 4
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_golden_examples_survive_their_file(task: Task, tmp_path: Path) -> None:
    examples = tuple(task.golden_examples())
    logits = np.arange(2.0 * len(examples), dtype=np.float32).reshape(-1, 2)
    golden.write(Golden(examples, logits, logits + 1), tmp_path)
    read = golden.read(tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(read.examples, examples, strict=True))
    np.testing.assert_array_equal(read.expected, logits + 1)


def test_encoding_then_running_then_decoding(checkpoint: Path, task: Task) -> None:
    artifact = open_any(checkpoint)
    examples = task.golden_examples()
    inputs = task.encode(examples)
    assert list(inputs) == [spec.name for spec in artifact.manifest.inputs]
    for spec in artifact.manifest.inputs:
        assert str(inputs[spec.name].dtype) == spec.dtype
        assert inputs[spec.name].shape[0] == len(examples)
    answers = task.decode(open_session(artifact).run(inputs))
    for answer in answers:
        assert answer.label in task.labels
        assert set(answer.scores) == set(task.labels)
        assert sum(answer.scores.values()) == pytest.approx(1)
        assert answer.score == max(answer.scores.values())


def test_scores_of_perfect_and_of_wrong_answers(task: Task) -> None:
    targets = np.arange(12) % len(task.labels)
    right = {"logits": np.eye(len(task.labels), dtype=np.float32)[targets]}
    wrong = {"logits": -right["logits"]}
    assert task.score(right, targets)[task.main_metric] == 1.0
    assert task.score(wrong, targets)[task.main_metric] == 0.0
    assert all(0 <= value <= 1 for value in task.score(wrong, targets).values())
