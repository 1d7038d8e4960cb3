"""How far a training is: by steps, or by time, whichever is ahead."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from compress.training.processes import agreed

if TYPE_CHECKING:
    from compress.training.schedule import Schedule

_SAVED_EVERY_S = 60.0
_SAVING_SHARE = 0.03
"""States are written so seldom that writing them takes no larger part of the time than this."""


class Pace:
    """The clock of one training, over all of its runs, looked at once in each step.

    A learning rate that follows it has fallen to nothing when the time is over, whatever the machine managed until then
    (as budgeted training does: Li et al. 2020, section 3). Where several processes train together, all of them go by
    the clock of the first.
    """

    def __init__(self, schedule: Schedule, steps_per_epoch: int, spent_s: float) -> None:
        """:param spent_s: seconds that earlier runs have taken"""
        self.budget_s = schedule.time_budget_s
        self.steps = None if schedule.passes is None else max(1, round(schedule.passes * steps_per_epoch))
        self.share = 0.0
        """The part (0-1) of the training that is over."""
        self.is_saving_due = False
        """Whether a state should be written."""
        self._began_s = time.monotonic() - spent_s
        self._saved_s = time.monotonic()
        self._saving_s = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds that this and earlier runs have taken."""
        return time.monotonic() - self._began_s

    def tick(self, step: int) -> None:
        """Look at the clock, after `step` steps."""
        by_steps = 0.0 if self.steps is None else step / self.steps
        by_time = 0.0 if self.budget_s is None else self.elapsed_s / self.budget_s
        since_saved_s = time.monotonic() - self._saved_s
        is_due = since_saved_s > max(_SAVED_EVERY_S, self._saving_s / _SAVING_SHARE)
        self.share, due = agreed(min(1.0, max(by_steps, by_time)), float(is_due))
        self.is_saving_due = due > 0

    def saving(self) -> None:
        """A state is about to be written."""
        self._saved_s = time.monotonic()

    def saved(self) -> None:
        """It has been written."""
        self._saving_s, self._saved_s = time.monotonic() - self._saved_s, time.monotonic()

    def units(self) -> int:
        """Of what progress is counted in: seconds of the budget, or steps."""
        return math.ceil(self.budget_s) if self.budget_s is not None else self.steps or 0

    def reached(self, step: int) -> int:
        """How many of them are over."""
        return step if self.budget_s is None else int(self.elapsed_s)
