"""How long a row takes, and what follows for the budget: how many rows judge, and what the final measurement needs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ftc.search.finalists import MOST

LEAST_JUDGING = 100
"""Fewer rows would tell no candidate from another."""

_JUDGING_SHARE = 0.5
"""Of the budget, that judging may take."""

_TRAINED = 4
"""Candidates that are judged besides those that need no training."""

_MEASURED = MOST + 2
"""Candidates of the final measurement at most: the finalists, the float export and the checkpoint."""

_LEAST_TIMING_S = 30.0
_TIMING_SHARE = 0.04
"""Of the budget, that the final measurement times candidates: 48 s of 20 minutes.

Six candidates in 30 s had intervals too wide to be quoted on a busy host: 3.7 to 5.7, where 90 s gave 4.8 to 6.1.
"""


@dataclass(slots=True)
class Ticks:
    """Counts rows while they are answered; the first of them come after the model was opened, and tell nothing."""

    _last_s: float | None = field(default=None, init=False)
    row_s: float | None = field(default=None, init=False)

    def __call__(self, by: int = 1) -> None:
        """So many more rows were answered; see `ftc.console.Advance`."""
        now_s = time.monotonic()
        if self._last_s is not None:
            took_s = (now_s - self._last_s) / by
            self.row_s = took_s if self.row_s is None else min(self.row_s, took_s)
        self._last_s = now_s


def judging_rows(row_s: float, there_are: int, first: int, budget_s: float) -> int:
    """How many rows judge each candidate.

    :param first: candidates that need no training
    """
    if row_s <= 0:
        return there_are
    fit = int(_JUDGING_SHARE * budget_s / (row_s * (first + _TRAINED)))
    return min(there_are, max(LEAST_JUDGING, fit))


def timing_s(budget_s: float) -> float:
    """The longest that the final measurement times candidates; it ends sooner when intervals are narrow."""
    return max(_LEAST_TIMING_S, _TIMING_SHARE * budget_s)


def final_s(row_s: float, rows: int, budget_s: float, ways: int = 1) -> float:
    """What the final measurement takes, at the pace of the float export.

    :param ways: in which each candidate is measured
    """
    return _MEASURED * ways * row_s * rows + timing_s(budget_s)
