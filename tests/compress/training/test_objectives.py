"""What a student is trained for: to answer as its teacher does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.training.objectives import Distance, Distillation, hidden_loss, soft_cross_entropy
from compress.training.relations import Watched, relation_loss
from compress.training.rows import Batch, Rows
from ftc.checkpoint import load
from tests.conftest import save_text_checkpoint

ALIKE = Distance(temperature=2.0, alpha=1.0, hidden_weight=1.0, relation_weight=1.0)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(text_checkpoint: Path, rows: Rows) -> None:
    student, teacher = load(text_checkpoint), load(text_checkpoint)
    objective = Distillation(student, teacher, ALIKE, len(rows))
    assert float(objective(student, Batch.of(rows.tensors(range(8))))) == pytest.approx(0.0, abs=1e-5)


def test_a_teacher_that_is_compared_by_its_answers_alone_is_asked_once(
    text_checkpoint: Path, rows: Rows, tmp_path: Path
) -> None:
    student, teacher = load(text_checkpoint), load(save_text_checkpoint(tmp_path / "teacher", seed=3))
    objective = Distillation(student, teacher, Distance(2.0, 0.5, 0.0, 0.0), len(rows))
    asked: list[int] = []
    teacher.register_forward_hook(lambda *_: asked.append(1))
    batch = Batch.of(rows.tensors([3, 1, 2]))
    first = float(objective(student, batch))
    assert float(objective(student, batch)) == pytest.approx(first, abs=1e-6)
    assert float(objective(student, Batch.of(rows.tensors([1, 2, 3])))) == pytest.approx(first, abs=1e-6)
    assert len(asked) == 1
    objective.save(tmp_path)
    again = Distillation(student, teacher, Distance(2.0, 0.5, 0.0, 0.0), len(rows))
    again.restore(tmp_path)
    assert float(again(student, batch)) == pytest.approx(first, abs=1e-6)
    assert len(asked) == 1


def test_padding_changes_no_loss(text_checkpoint: Path, tmp_path: Path, rows: Rows) -> None:
    student = load(text_checkpoint)
    teacher = load(save_text_checkpoint(tmp_path / "teacher", seed=3))
    batch = Batch.of(rows.tensors([0])).inputs
    padded = {name: torch.nn.functional.pad(values, (0, 5)) for name, values in batch.items()}
    watched = Watched(student), Watched(teacher)

    def losses(inputs: dict[str, torch.Tensor]) -> list[float]:
        ours, theirs = (model(**inputs, output_hidden_states=True) for model in (student, teacher))
        mask = inputs["attention_mask"]
        between = hidden_loss(ours.hidden_states, theirs.hidden_states, mask)
        return [float(between), float(relation_loss(*watched, mask))]

    alone = losses(batch)
    assert all(loss > 0.01 for loss in alone)
    assert losses(padded) == pytest.approx(alone, rel=1e-3)


@given(st.floats(0.5, 8), st.integers(0, 100))
@settings(max_examples=30)
def test_soft_answers_differ_by_nothing_only_if_equal(temperature: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    ours, theirs = torch.randn(4, 3, generator=random), torch.randn(4, 3, generator=random)
    assert float(soft_cross_entropy(theirs, theirs, temperature)) == pytest.approx(0.0, abs=1e-4)
    assert float(soft_cross_entropy(ours, theirs, temperature)) > 0
