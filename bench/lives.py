"""New processes while a run goes on: how fast a file is depends on the process that holds it, as long as that lives."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.intervals import LEAST_PROCESSES
from bench.remote import WorkerError
from bench.timed import Timed
from bench.trial import Trial
from ftc.console import caution
from ftc.runtimes.session import available_cores

SHARE = 0.1
"""Of the time, for starting processes anew."""

MOST_SHARE = 0.2
"""Of the time, if that makes as many lives as it takes to know how far processes differ."""


@dataclass(slots=True)
class Lives:
    """The processes of a run's candidates, replaced between rounds, all at once.

    Where its memory happens to lie decides how fast a process is, and no number of rounds shows it (Kalibera & Jones,
    "Rigorous Benchmarking in Reasonable Time", ISMM 2013, section 4). One of two processes with the same MiniLM was
    4.5 % ahead over 96 rounds, and with both started anew every six rounds 1.2 % (benchmarks/processes.py). So rounds
    of one run come from several processes, and the interval covers them.

    What opens so slowly that the time does not hold enough lives of it, lives once.

    :param trials: by the candidate's id
    :param left_s: what is left of the time budget
    :param mortal: those that are replaced
    """

    trials: Mapping[str, Trial]
    timed: Timed
    left_s: float
    clock: Callable[[], float] = time.monotonic
    mortal: tuple[str, ...] = ()
    _life_s: float = 0.0
    _cost_s: float = 0.0
    _born_s: float = 0.0
    _end_s: float = 0.0

    def __post_init__(self) -> None:
        self._end_s = self.clock() + self.left_s
        at_once = min(len(self.trials), available_cores())
        longest_s, cost_s = self.left_s / LEAST_PROCESSES, 0.0
        for name in sorted(self.trials, key=lambda name: self.trials[name].opening_s):
            trial = self.trials[name]
            more_s = cost_s + trial.opening_s / at_once + trial.warming_s
            if more_s > MOST_SHARE * longest_s:
                break
            cost_s, self.mortal = more_s, (*self.mortal, name)
        self._begin(cost_s)

    def renew(self) -> dict[str, str]:
        """Replace the processes if they have lived long enough for what that costs; nobody is timed meanwhile.

        They are opened side by side, and warmed up one after another, since each computes with all the threads. One
        that fails at that is opened once more, alone: several at once may need more memory than there is.

        :return: those that could not be opened again, with the reason
        """
        began = self.clock()
        names = [name for name in self.mortal if not self.trials[name].has_failed]
        if not names or began - self._born_s < self._life_s:
            return {}
        if self._end_s - began < self._cost_s + self._life_s / 2:
            return {}  # what is left would go into starting them
        with ThreadPoolExecutor(available_cores()) as threads:
            try:
                opened = threads.map(lambda name: _reason(lambda: self.trials[name].renew(self.timed)), names)
                reasons = dict(zip(names, opened, strict=True))
            except BaseException:  # the end of the block would wait for all of them, each as long as it may take
                threads.shutdown(wait=False, cancel_futures=True)
                for name in names:
                    self.trials[name].worker.give_up()
                raise
        for name in names:
            trial = self.trials[name]
            reasons[name] = reasons[name] or _reason(trial.worker.warm)
            if reasons[name] is not None:
                caution(f"{trial.candidate.name}: {reasons[name]}; it is opened once more, alone.")
                reasons[name] = _reason(lambda: trial.reopen(self.timed)) or _reason(trial.worker.warm)  # noqa: B023 - at once
        self._begin(self.clock() - began)
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def _begin(self, cost_s: float) -> None:
        """A life begins, after one that it took so long to replace."""
        self._born_s = self.clock()
        self._cost_s = cost_s
        self._life_s, longest_s = cost_s / SHARE, (self.left_s + cost_s) / LEAST_PROCESSES
        if cost_s <= MOST_SHARE * longest_s:
            self._life_s = min(self._life_s, longest_s - cost_s)


def _reason(work: Callable[[], object]) -> str | None:
    """Why a candidate could not do that; None if it could."""
    try:
        work()
    except WorkerError as error:
        return str(error)
    return None
