"""One candidate on its way through a run: opened, answering, timed; its failure is its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.log import Log
from bench.on_gpu import power_w
from bench.remote import Usage, Worker, WorkerError
from bench.timed import Timed
from ftc.console import Advance, caution
from ftc.data import Dataset
from ftc.measurement import Accuracy, Candidate, Opening, Turn
from ftc.records import AccuracyTaken, Closed, Opened, TurnTaken
from ftc.tasks.task import Task

_ANSWERED_AT_ONCE = 16
"""Rows sent to a worker in one message, each answered on its own; only so that progress can be shown."""

_AS_GOOD = 1.02


@dataclass(slots=True)
class Trial:
    """A candidate, its process, and the log that everything about it goes into.

    :param opening_s: seconds that opening took, as far as a process that replaces this one does the same
    :param warming: what part (0-1) of a pass over all its batches warms up a process that replaces another
    :param warming_s: seconds that it takes
    :param rows: of one pass, in the Offline scenario
    :param batches: the same in its own best size
    :param process: how many processes the run has had for it before this one
    """

    candidate: Candidate
    worker: Worker
    log: Log
    has_failed: bool = False
    opening_s: float = 0.0
    warming: float = 1.0
    warming_s: float = 0.0
    rows: int = 0
    batches: int = 0
    process: int = 0
    _cells: Sequence[Sequence[Sequence[int]]] = ()
    _used: list[Usage] = field(default_factory=list)

    def attempt(self, work: Callable[[], None]) -> None:
        """Do a part of the run, unless the candidate has failed; its failing does not end the run."""
        if self.has_failed:
            return
        try:
            work()
        except WorkerError as error:
            self.fail(str(error))

    def fail(self, reason: str) -> None:
        """Take the candidate out of the run."""
        self.has_failed = True
        hung_after_s = self.worker.hung_after_s
        self.worker.end()  # others may need the memory
        self.log.add(Closed(self.log.run.id, self.candidate.id, failure=reason, hung_after_s=hung_after_s))
        caution(f"{self.candidate.name} failed: {reason}")

    def open(self, timed: Timed) -> None:
        """Open the candidate, make the first call, and time what goes on around the model."""
        began = time.monotonic()
        known = self.log.of(self.candidate.id)
        self.process = 1 + max((turn.process for turn in known.turns), default=-1)
        opened = self.worker.open()
        first_call_ns = self.worker.first_call(timed.examples[0])
        opened_s = time.monotonic() - began
        around = self.worker.around(timed.examples[: timed.own])
        best = None
        if timed.offered:
            before = known.opening.batch_size if known.opening is not None and known.turns else None
            best = before or self._best_batch_size(timed)  # rounds of one run are of one size
        cells = timed.cells
        if best is not None:
            cells = (timed.offered[best],)
            self.rows, self.batches = len(timed.cells[0]), len(cells[0])
        began = time.monotonic()
        self.warming = self.worker.prepare(timed.examples, cells)
        self._cells = cells
        self.opening_s = opened_s + time.monotonic() - began
        opening = Opening(
            opened["load_ns"],
            first_call_ns,
            opened["session"],
            encode_ns=tuple(around["encode_ns"]),
            decode_ns=tuple(around["decode_ns"]),
            batch_size=best,
        )
        self.log.add(Opened(self.log.run.id, self.candidate.id, opening))

    def renew(self, timed: Timed) -> None:
        """Go on in a new process, as `reopen` does, and note what the one before has needed."""
        self._note_usage()
        self.reopen(timed)

    def reopen(self, timed: Timed) -> None:
        """Open the candidate in a new process, of which only the speed is looked at.

        :raises WorkerError: if it cannot be opened again
        """
        self._started(timed)
        self.worker.prepare(timed.examples, self._cells)
        self.process += 1

    def _started(self, timed: Timed) -> None:
        """A new process that has made its first call."""
        self.worker.end()
        self.worker.open()
        self.worker.first_call(timed.examples[0])

    def answer(self, data: Dataset, task: Task, advance: Advance) -> None:
        """Answer every row, and score the answers if there are labels.

        :raises WorkerError: if an answer is not a finite number, of which no class is the likeliest
        """
        parts: list[dict[str, np.ndarray]] = []
        for start in range(0, len(data), _ANSWERED_AT_ONCE):
            rows = data.examples[start : start + _ANSWERED_AT_ONCE]
            parts.append(self.worker.answer(rows))
            advance(len(rows))
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}  # (N, classes) float32
        _check_finite(outputs)
        metrics = task.score(outputs, data.labels) if data.labels is not None else {}
        accuracy = Accuracy(metrics, tuple(task.chosen(outputs).tolist()))
        self.log.add(AccuracyTaken(self.log.run.id, self.candidate.id, accuracy))

    def _best_batch_size(self, timed: Timed) -> int:
        """The batch size at which most rows go through in a second; of those within 2 % of it, the smallest."""
        sizes = list(timed.offered)
        self.worker.prepare(timed.examples, [timed.offered[size] for size in sizes])
        self.worker.warm()
        taken = self.worker.turn([range(len(timed.offered[size])) for size in sizes])
        self._started(timed)  # what larger batches have needed of memory is not what the best one needs
        per_row_ns = {size: sum(times) / (size * len(times)) for size, times in zip(sizes, taken, strict=True)}
        return min(size for size in sizes if per_row_ns[size] <= _AS_GOOD * min(per_row_ns.values()))

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        """See `bench.worker.Subject.turn`; in the Offline scenario all rows, in this candidate's own batches."""
        if self.batches:
            picks = [tuple(range(self.batches)) * max(1, len(picks[0]) // self.rows)]
        return self.worker.turn(picks, arrivals_ns)

    def keep(self, turn: Turn) -> None:
        """Write a turn down."""
        self.log.add(TurnTaken(self.log.run.id, self.candidate.id, replace(turn, process=self.process)))

    def close(self) -> None:
        """Write down the most memory that any of its processes needed, and what power they drew together."""
        self._note_usage()
        used = self._used
        closed = Closed(
            self.log.run.id,
            self.candidate.id,
            max((one.peak_rss_bytes for one in used), default=None),
            peak_gpu_bytes=max((one.peak_gpu_bytes for one in used if one.peak_gpu_bytes is not None), default=None),
            power_w=power_w(sum(one.energy_mj for one in used), sum(one.computed_ns for one in used)),
        )
        self.log.add(closed)

    def _note_usage(self) -> None:
        """Of a process that has ended since its last turn nothing is known; its turns are as good as others."""
        try:
            self._used.append(self.worker.usage())
        except WorkerError as error:
            caution(f"{self.candidate.name}: {error}; what this process has needed is not known.")


def _check_finite(outputs: Mapping[str, np.ndarray]) -> None:
    for name, values in outputs.items():  # (N, classes)
        wrong = np.flatnonzero(~np.isfinite(values).all(axis=-1))
        if len(wrong):
            raise WorkerError(
                f"its {name} are not finite for {len(wrong)} of {len(values)} rows, first for row {wrong[0] + 1}: "
                "no label can be read from them"
            )
