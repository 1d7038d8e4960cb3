"""Requests: what makes no sense is refused before anything starts, in words that say what would."""

from __future__ import annotations

from typing import Any

import pytest

from ftc.errors import InputError
from ftc.search.request import Effort, Objective, Request, Target


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"max_drop": 1.0}, "0.01 is one point"),
        ({"max_drop": -0.1}, "--max-drop -0.1"),
        ({"max_drop": float("nan")}, "--max-drop nan"),
        ({"min_score": 90.0}, "--min-score 90"),
        ({"max_size_bytes": 0}, "--max-size must be above 0"),
        ({"max_size_bytes": float("nan")}, "--max-size must be above 0, and a finite number"),
        ({"max_memory_bytes": float("inf")}, "--max-memory must be above 0, and a finite number"),
        ({"threads": 99999}, "--threads must be from 1 to"),
        ({"threads": 0}, "--threads must be from 1 to"),
        ({"seed": 5000000000}, "--seed must be from 0 to"),
        ({"max_latency_ns": -1}, "--max-latency must be above 0"),
        ({"time_budget_s": 5.0}, "at least 30 s"),
        ({"time_budget_s": float("inf")}, "--time-budget infs"),
        ({"objective": Objective.THROUGHPUT, "max_latency_ns": 5e6}, "--max-latency is the time of one row"),
        ({"effort": "fast"}, "effort 'fast' is none of quick, balanced, thorough"),
        ({"target": Target.CUDA, "objective": Objective.SIZE}, "--objective size is of the file"),
    ],
)
def test_nonsense_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Request(**asked)


def test_a_preset_has_a_budget_of_its_own() -> None:
    assert Request(effort=Effort.QUICK).budget_s == 240
    assert Request(effort=Effort.QUICK, time_budget_s=60).budget_s == 60


def test_words_stand_for_what_they_name() -> None:
    assert Request(effort="quick", objective="size") == Request(effort=Effort.QUICK, objective=Objective.SIZE)  # type: ignore[arg-type]
    assert repr(Request(time_budget_s=30)) == repr(Request(time_budget_s=30.0)), "searches are told apart by it"
    assert Request(max_drop=0.005).max_drop_points == pytest.approx(0.5)
