"""How far a training is: by steps, or by time, whichever is ahead."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compress.training.schedule import Schedule


class Pace:
    """The clock of one training, over all of its runs.

    A learning rate that follows it has fallen to nothing when the time is over, whatever the machine managed until then
    (as budgeted training does: Li et al. 2020, section 3).
    """

    def __init__(self, schedule: Schedule, steps_per_epoch: int, spent_s: float) -> None:
        """:param spent_s: seconds that earlier runs have taken"""
        self.budget_s = schedule.time_budget_s
        self.steps = None if schedule.passes is None else max(1, round(schedule.passes * steps_per_epoch))
        self._began_s = time.monotonic() - spent_s

    @property
    def elapsed_s(self) -> float:
        """Seconds that this and earlier runs have taken."""
        return time.monotonic() - self._began_s

    def share(self, step: int) -> float:
        """The part (0-1) of the training that is over."""
        by_steps = 0.0 if self.steps is None else step / self.steps
        by_time = 0.0 if self.budget_s is None else self.elapsed_s / self.budget_s
        return min(1.0, max(by_steps, by_time))

    def units(self) -> int:
        """Of what progress is counted in: seconds of the budget, or steps."""
        return math.ceil(self.budget_s) if self.budget_s is not None else self.steps or 0

    def reached(self, step: int) -> int:
        """How many of them are over."""
        return step if self.budget_s is None else int(self.elapsed_s)
