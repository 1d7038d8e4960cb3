"""The batch that a training takes: one whose gradient was seen to fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from compress.choices import TrainingPrecision
from compress.training.engine import fit
from compress.training.memory import fitting
from compress.training.objectives import Labels
from compress.training.rows import Batch, Rows
from compress.training.schedule import Schedule
from ftc.checkpoint import open_any
from ftc.data import Dataset
from ftc.errors import RunError
from ftc.tasks.task import open_task
from tests.compress.training.conftest import trainable


class Large(Labels):
    """A loss for which memory holds so many rows."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        if len(batch.rows) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return super().__call__(model, batch)


def test_a_batch_too_large_is_halved_and_taken_twice_as_often(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = Schedule(epochs=1, batch_size=16)
    trained = fit(trainable(text_checkpoint, schedule), Large(4), rows, rows, schedule, tmp_path)
    assert trained.course.points[-1].step == 3, "40 rows in steps of 16, as was asked for"
    assert "4 are taken at once" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "part"), [(6, 3), (9, 3), (15, 5), (7, 1)])
def test_a_batch_is_divided_so_that_a_step_keeps_its_rows(
    text_checkpoint: Path, rows: Rows, size: int, part: int
) -> None:
    schedule = Schedule(batch_size=size)
    found = fitting(trainable(text_checkpoint, schedule), Large(5), rows, schedule, torch.device("cpu"))
    assert (found.batch_size, found.batch_size * found.accumulation) == (part, size)


def test_the_look_at_the_memory_computes_as_training_does(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    seen: list[tuple[bool, bool, bool]] = []

    class Looks(Labels):
        def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            seen.append((model.training, model.is_activation_checkpointing, torch.is_autocast_enabled("cpu")))
            return super().__call__(model, batch)

    schedule = Schedule(
        epochs=1, batch_size=8, gradient_checkpointing=True, precision=TrainingPrecision.BFLOAT16, evaluations=1
    )
    fit(trainable(text_checkpoint, schedule), Looks(), rows, None, schedule, tmp_path)
    assert len(seen) == 6
    assert set(seen) == {(True, True, True)}


def test_the_look_at_the_memory_leaves_a_network_as_it_was(image_checkpoint: Path, image_data: Dataset) -> None:
    model = trainable(image_checkpoint, Schedule())
    before = {name: values.clone() for name, values in model.named_buffers()}
    assert before, "batch normalizations have statistics"
    images = Rows(image_data, open_task(open_any(image_checkpoint)), image_data.labels)
    fitting(model, Labels(), images, Schedule(batch_size=8), torch.device("cpu"))
    assert not model.training
    assert all(torch.equal(values, before[name]) for name, values in model.named_buffers())


def test_what_does_not_fit_at_all_says_what_helps(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    class Larger(Labels):
        def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    schedule = Schedule(epochs=1)
    with pytest.raises(RunError, match="--gradient-checkpointing"):
        fit(trainable(text_checkpoint, schedule), Larger(), rows, None, schedule, tmp_path)
    schedule = Schedule(epochs=1, gradient_checkpointing=True)
    with pytest.raises(RunError, match="not even one row") as told:
        fit(trainable(text_checkpoint, schedule), Larger(), rows, None, schedule, tmp_path)
    assert "--gradient-checkpointing" not in str(told.value), "that was given already"
