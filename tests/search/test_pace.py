"""Slow models: fewer rows judge, and the final measurement's time is left for it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import screening
from ftc.data import Dataset
from ftc.search import pace, plan
from ftc.search.judging import PACE
from ftc.search.parts import Parts
from ftc.search.request import Request
from tests.search import made
from tests.search.made import DYNAMIC


@pytest.mark.parametrize(("row_s", "judging", "final_s"), [(0.001, 2000, 56), (0.25, 400, 2048), (10.0, 100, 80048)])
def test_rows_that_judge_fit_the_budget_and_the_final_measurement_is_provided_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    row_s: float,
    judging: int,
    final_s: float,
) -> None:
    now = (16 * row_s * tick for tick in count())
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: next(now)))
    asked: list[int] = []

    def answers(_artifact: Any, data: Dataset, *, advance: Any = None, **_options: Any) -> np.ndarray:
        asked.append(len(data))
        for _ in range(3 if advance is not None else 0):
            advance(16)
        return np.zeros(len(data), np.int64)

    monkeypatch.setattr(screening, "answers", answers)
    parts = Parts(made.rows(200), made.rows(2000), None)
    search = made.search(tmp_path, Request(), (DYNAMIC,), parts=parts, final=made.rows(1000))
    search.building.make([plan.REFERENCE])
    left_s = search.left_s()
    judged = search.judging.judge(plan.REFERENCE)
    assert judged is not None
    assert judged.rows == judging == len(search.judging.rows)
    assert left_s - search.left_s() == pytest.approx(max(0, final_s - 120), abs=5)
    told = capsys.readouterr().err
    assert (f"{judging} of 2000 rows judge" in told) == (judging < 2000)
    assert ("a longer --time-budget" in told) == (final_s > 600)
    again = made.search(tmp_path, Request(), (DYNAMIC,), parts=parts, final=made.rows(1000))
    asked.clear()
    assert len(again.judging.rows) == judging
    assert asked == [], "rows are timed once"


def test_the_pace_is_known_of_few_rows_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now_s))

    def answers(_artifact: Any, data: Dataset, *, advance: Any = None, **_options: Any) -> np.ndarray:
        nonlocal now_s
        now_s += 10.0  # to open it
        for start in range(0, len(data), 16):
            now_s += 0.25 * len(data.examples[start : start + 16])
            advance(len(data.examples[start : start + 16]))
        return np.zeros(len(data), np.int64)

    monkeypatch.setattr(screening, "answers", answers)
    search = made.search(tmp_path, Request(), (DYNAMIC,), parts=Parts(made.rows(200), made.rows(10), None))
    assert len(search.judging.rows) == 10
    known = search.store.decided(PACE)
    assert known is not None
    assert known.numbers["row_s"] == pytest.approx(0.25)
