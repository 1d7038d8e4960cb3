"""New processes while a run goes on: how fast a file is depends on the process that holds it, as long as that lives."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.intervals import LEAST_PROCESSES
from bench.remote import WorkerError
from bench.timed import Timed
from bench.trial import Trial
from ftc.runtimes.session import available_cores

SHARE = 0.1
"""Of the time, for starting processes anew: what is quickly opened lives several times, what is slowly opened once."""

MOST_SHARE = 0.2
"""Of the time, if that makes three lives of fewer: of two, nothing could be concluded."""


@dataclass(slots=True)
class Lives:
    """The processes of a run's candidates, replaced between rounds.

    Where its memory happens to lie decides how fast a process is, and no number of rounds shows it (Kalibera & Jones,
    "Rigorous Benchmarking in Reasonable Time", ISMM 2013, section 4). One of two processes with the same MiniLM was
    3.8 % ahead over 48 rounds on a quiet machine, and with both started anew every six rounds 0.7 %
    (benchmarks/processes.py). So rounds of one run come from several processes, and the interval covers them.

    :param trials: by the candidate's id
    :param whole: a pass over everything that is timed
    :param budget_s: what the run may take
    """

    trials: Mapping[str, Trial]
    timed: Timed
    whole: Sequence[Sequence[int]]
    budget_s: float
    clock: Callable[[], float] = time.monotonic
    _born_s: dict[str, float] = field(default_factory=dict)
    _cost_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = self.clock()
        self._born_s = dict.fromkeys(self.trials, now)
        self._cost_s = {name: trial.opening_s for name, trial in self.trials.items()}

    def renew(self) -> dict[str, str]:
        """Replace the processes that have lived long enough for what that costs, side by side; nobody is timed.

        :return: those that could not be opened again, with the reason
        """
        due = [name for name, trial in self.trials.items() if not trial.has_failed and self._is_due(name)]
        if not due:
            return {}
        with ThreadPoolExecutor(available_cores()) as threads:
            reasons = zip(due, threads.map(self._renewed, due), strict=True)
            return {name: reason for name, reason in reasons if reason is not None}

    def _is_due(self, name: str) -> bool:
        at_once = min(len(self.trials), available_cores())
        cost_s = self._cost_s[name] * len(self.trials) / at_once
        life_s, third_s = cost_s / SHARE, self.budget_s / LEAST_PROCESSES
        if cost_s <= MOST_SHARE * third_s:
            life_s = min(life_s, third_s)
        return self.clock() - self._born_s[name] >= life_s

    def _renewed(self, name: str) -> str | None:
        """Why that failed; None if it did not."""
        began = self.clock()
        try:
            self.trials[name].renew(self.timed, self.whole)
        except WorkerError as error:
            return str(error)
        self._born_s[name] = self.clock()
        self._cost_s[name] = self._born_s[name] - began
        return None
