"""Schedules and their pace: how the learning rate rises and falls, and what time is left."""

from __future__ import annotations

import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.choices import Decay
from compress.training.pace import Pace
from compress.training.schedule import Schedule
from ftc.errors import InputError


def test_a_time_budget_ends_training_and_lowers_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.s)
    pace = Pace(Schedule(time_budget_s=60), steps_per_epoch=10, spent_s=15)
    pace.tick(1_000_000)
    assert pace.share == 0.25, "what earlier runs took counts, steps do not"
    now.s += 45
    pace.tick(0)
    assert pace.share == 1.0
    both = Pace(Schedule(time_budget_s=60, epochs=2), steps_per_epoch=10, spent_s=0)
    both.tick(10)
    assert both.share == 0.5, "whichever is ahead"


@given(
    st.floats(0, 0.9),
    st.sampled_from(Decay),
    st.lists(st.floats(0, 1), min_size=2, max_size=20).map(sorted),
)
def test_the_rate_rises_once_and_falls_to_nothing(warmup: float, decay: Decay, shares: list[float]) -> None:
    schedule = Schedule(warmup=warmup, decay=decay)
    rates = [schedule.rate(share) for share in shares]
    assert all(0 <= rate <= 1 + 1e-9 for rate in rates)
    falling = [rate for share, rate in zip(shares, rates, strict=True) if share >= warmup]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(falling))
    assert schedule.rate(1.0) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"time_budget_s": float("inf")}, "--time-budget inf"),
        ({"learning_rate": -1.0}, "--learning-rate -1"),
        ({"held_out": 1.0}, "--held-out 1"),
        ({"gradual": True, "train_layers": 1}, "choose one"),
        ({"weight_decay": float("nan")}, "--weight-decay nan"),
        ({"patience": 2, "held_out": 0.0}, "--patience.*--held-out 0"),
        ({"seed": -1}, "--seed -1"),
        ({"seed": 2**32}, "--seed 4294967296: .* 4294967295"),
    ],
)
def test_schedules_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Schedule(**options)
