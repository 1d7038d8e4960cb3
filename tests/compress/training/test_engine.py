"""The training engine: what it learns, what it keeps, and when it ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from compress.choices import TrainingPrecision
from compress.training import engine, pace
from compress.training.engine import fit
from compress.training.objectives import Labels
from compress.training.rows import Batch, Rows
from compress.training.schedule import Schedule
from ftc.errors import RunError
from tests.compress.training.conftest import trainable


def test_training_learns_and_leaves_the_best_weights(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    schedule = Schedule(epochs=20, learning_rate=2e-3, batch_size=8, evaluations=5)
    model = trainable(text_checkpoint, schedule)
    trained = fit(model, Labels(), rows, rows, schedule, tmp_path, tested=rows)
    curve = trained.course.points
    assert [point.step for point in curve] == [0, 20, 40, 60, 80, 100]
    assert curve[-1].loss < 0.5 * curve[1].loss
    assert max(point.score for point in curve) > max(curve[0].score, 0.8)
    assert trained.test_score == trained.course.best.score, "the network has the weights of its best evaluation"
    assert trained.ended == "the epochs"


def test_a_training_that_brought_nothing_says_so(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = Schedule(epochs=1, learning_rate=1e-12, batch_size=8, evaluations=2)
    model = trainable(text_checkpoint, schedule)
    trained = fit(model, Labels(), rows, rows, schedule, tmp_path)
    assert trained.course.best is not None
    assert trained.course.best.step == 0
    assert "the result has the weights that it began with" in capsys.readouterr().err


def test_the_same_seed_trains_the_same_weights(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    def weights(place: str, seed: int) -> torch.Tensor:
        schedule = Schedule(epochs=2, learning_rate=1e-3, batch_size=8, seed=seed)
        model = trainable(text_checkpoint, schedule)
        fit(model, Labels(), rows, None, schedule, tmp_path / place)
        return model.classifier.weight.detach()

    assert torch.equal(weights("a", 1), weights("b", 1))
    assert not torch.equal(weights("c", 1), weights("d", 2))


def test_a_loss_that_is_no_number_ends_training_with_the_best_weights_so_far(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Breaks(Labels):
        calls = 0

        def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            Breaks.calls += 1
            return super().__call__(model, batch) * (float("nan") if Breaks.calls > 71 else 1.0)

    schedule = Schedule(epochs=20, learning_rate=2e-3, batch_size=8, evaluations=10)
    model = trainable(text_checkpoint, schedule)
    trained = fit(model, Breaks(), rows, rows, schedule, tmp_path, tested=rows)
    assert "step 71" in trained.ended  # one call was the look at the memory
    assert trained.test_score == trained.course.best.score
    assert trained.course.best.step > 0
    assert "caution" in capsys.readouterr().err


def test_a_loss_that_is_no_number_at_once_is_an_error_that_says_the_step(
    text_checkpoint: Path, rows: Rows, tmp_path: Path
) -> None:
    class Breaks(Labels):
        def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            return torch.tensor(float("inf"), requires_grad=True)

    schedule = Schedule(epochs=1, learning_rate=1e-3, batch_size=8)
    model = trainable(text_checkpoint, schedule)
    with pytest.raises(RunError, match=r"step 1\b.*ower the learning rate"):
        fit(model, Breaks(), rows, rows, schedule, tmp_path)


def test_patience_ends_a_training_that_gets_no_better(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    schedule = Schedule(epochs=50, learning_rate=1e-12, batch_size=8, evaluations=50, patience=3)
    model = trainable(text_checkpoint, schedule)
    trained = fit(model, Labels(), rows, rows, schedule, tmp_path)
    assert len(trained.course.points) == 4
    assert trained.ended == "3 evaluations without a better score"


def test_a_run_that_was_stopped_before_its_first_state_is_not_passed_over_in_silence(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "best-0.safetensors").touch()
    schedule = Schedule(epochs=1, batch_size=16, evaluations=1)
    trained = fit(trainable(text_checkpoint, schedule), Labels(), rows, rows, schedule, tmp_path)
    assert "no state yet: beginning anew" in capsys.readouterr().err
    assert trained.course.points[-1].step == 3


class TakesASecond(Labels):
    """A loss that takes a second on a clock of its own."""

    def __init__(self, now: SimpleNamespace) -> None:
        self.now = now

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        self.now.s += 1
        return super().__call__(model, batch)


def clock_of_training(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now.s))
    return now


def test_judging_leaves_most_of_a_time_budget_to_training(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock_of_training(monkeypatch)
    judged_after: list[float] = []

    def judge(self: engine._Engine, rows: Rows) -> float:
        now.s += 5
        judged_after.append(now.s)
        return 0.5

    monkeypatch.setattr(engine._Engine, "score", judge)
    schedule = Schedule(time_budget_s=40, batch_size=8, evaluations=10)
    trained = fit(trainable(text_checkpoint, schedule), TakesASecond(now), rows, rows, schedule, tmp_path)
    assert trained.ended == "the time budget"
    assert now.s <= 41 + 1, "a second for the look at the memory"
    assert trained.course.points[-1].step >= 20
    assert len(judged_after) == len(trained.course.points) == 3, "before training, within it, and at its end"


def test_cheap_judging_is_as_often_as_was_asked_for(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock_of_training(monkeypatch)
    schedule = Schedule(time_budget_s=41, batch_size=8, evaluations=5)
    trained = fit(trainable(text_checkpoint, schedule), TakesASecond(now), rows, rows, schedule, tmp_path)
    assert len(trained.course.points) == 6


def test_accumulated_gradients_are_those_of_one_large_batch(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    def weights(place: str, batch_size: int, accumulation: int) -> torch.Tensor:
        schedule = Schedule(epochs=1, learning_rate=1e-3, batch_size=batch_size, accumulation=accumulation)
        model = trainable(text_checkpoint, schedule)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        fit(model, Labels(), rows, None, schedule, tmp_path / place)
        return model.classifier.weight.detach()

    torch.testing.assert_close(weights("one", 8, 1), weights("two", 4, 2), rtol=0, atol=2e-4)


@pytest.mark.parametrize("option", [{"precision": TrainingPrecision.BFLOAT16}, {"gradient_checkpointing": True}])
def test_other_ways_of_computing_learn_too(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, option: dict[str, object]
) -> None:
    schedule = Schedule(epochs=10, learning_rate=2e-3, batch_size=8, evaluations=2, **option)
    trained = fit(trainable(text_checkpoint, schedule), Labels(), rows, rows, schedule, tmp_path)
    assert trained.course.points[-1].loss < trained.course.points[1].loss


def test_the_engine_names_no_secrets_and_reports_nowhere(tmp_path: Path) -> None:
    arguments = engine._arguments(Schedule(), tmp_path)
    assert arguments.report_to == []
    assert not arguments.push_to_hub
