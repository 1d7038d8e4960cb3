"""How far a training is: by steps, or by time, whichever is ahead."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from compress.training.processes import agreed

if TYPE_CHECKING:
    from compress.training.schedule import Schedule

_TRAINING_PER_JUDGING = 4
"""With a time budget, training has at least so many times the time of the judging before it, so most of the budget."""

_SAVED_EVERY_S = 60.0
_SAVING_SHARE = 0.03
"""States are written so seldom that writing them takes no larger part of the time than this."""


class Pace:
    """The clock of one training, over all of its runs, looked at once in each step.

    A learning rate that follows it has fallen to nothing when the time is over, whatever the machine managed until then
    (as budgeted training does: Li et al. 2020, section 3). Where several processes train together, all of them go by
    the clock of the first.

    A time budget keeps room for the last judging, which takes as long as the one before it did. Without a budget the
    steps alone say when to judge, so that a run that was killed judges where it would have judged.
    """

    def __init__(self, schedule: Schedule, steps_per_epoch: int, spent_s: float, judging_s: float = 0.0) -> None:
        """
        :param spent_s: seconds that earlier runs have taken
        :param judging_s: seconds that their last judging took
        """
        self.budget_s = schedule.time_budget_s
        self._evaluations = schedule.evaluations
        self.steps = None if schedule.passes is None else max(1, round(schedule.passes * steps_per_epoch))
        self.share = 0.0
        """The part (0-1) of the training that is over."""
        self.is_saving_due = False
        """Whether a state should be written."""
        self.judging_s = judging_s
        """Seconds that the last judging took."""
        self._has_time_to_judge = False
        self._judged_share: float | None = None
        self._judged_s = time.monotonic()
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
        # a judging that was shorter than the one before it leaves more room, but the training does not go back for that
        share = max(self.share, min(1.0, max(by_steps, self._by_time())))
        since_saved_s = time.monotonic() - self._saved_s
        is_due = since_saved_s > max(_SAVED_EVERY_S, self._saving_s / _SAVING_SHARE)
        if self._judged_share is None:
            self._judged_share = share
        self.share, saving, judging = agreed(share, float(is_due), float(self._allows_judging(share)))
        self.is_saving_due, self._has_time_to_judge = saving > 0, judging > 0

    def is_judging_due(self, judged: int) -> bool:
        """Whether the weights should be judged after this step.

        :param judged: how often that was done, the judging before the first step included
        """
        if self.budget_s is None:
            return int(self.share * self._evaluations) >= judged
        return self.share >= 1 or self._has_time_to_judge

    def judging(self) -> None:
        """The weights are about to be judged."""
        self._judged_s = time.monotonic()

    def judged(self) -> None:
        """They have been judged."""
        self.judging_s, self._judged_s = time.monotonic() - self._judged_s, time.monotonic()
        self._judged_share = max(self.share, min(1.0, self._by_time()))

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

    def _by_time(self) -> float:
        if self.budget_s is None:
            return 0.0
        training_s = self.budget_s - self.judging_s
        return self.elapsed_s / training_s if training_s > 0 else 1.0

    def _allows_judging(self, share: float) -> bool:
        """Whether a time budget has room for judging now, and once more at its end."""
        if self.budget_s is None or self._judged_share is None:
            return False
        return (
            share >= self._judged_share + 1 / self._evaluations
            and time.monotonic() - self._judged_s >= _TRAINING_PER_JUDGING * self.judging_s
            and self.elapsed_s + 2 * self.judging_s <= self.budget_s
        )
