"""One candidate on its way through a run: opened, answering, timed; its failure is its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.remote import Worker, WorkerError
from bench.sampling import Taken
from bench.timed import Timed
from ftc.console import Advance, caution
from ftc.data import Dataset
from ftc.measurement import Accuracy, Candidate, Measurement, Opening, Samples
from ftc.tasks.task import Task

_ANSWERED_AT_ONCE = 16
"""Rows sent to a worker in one message, each answered on its own; only so that progress can be shown."""


@dataclass(slots=True)
class Trial:
    """What is known of a candidate so far."""

    candidate: Candidate
    worker: Worker
    encode_ns: tuple[int, ...] = ()
    opening: Opening | None = None
    accuracy: Accuracy | None = None
    samples: Samples | None = None
    failure: str | None = None

    def attempt(self, work: Callable[[], None]) -> None:
        """Do a part of the run, unless the candidate has failed; its failing does not end the run."""
        if self.failure is not None:
            return
        try:
            work()
        except WorkerError as error:
            self.fail(str(error))

    def fail(self, reason: str) -> None:
        """Take the candidate out of the run."""
        self.failure = reason
        caution(f"{self.candidate.name} failed: {reason}")

    def open(self, timed: Timed) -> None:
        """Open the candidate, encode the timed examples, and make the first call."""
        opened = self.worker.open()
        self.encode_ns = tuple(self.worker.prepare(timed.examples, timed.batches))
        first = self.worker.sample("single", [0], warm=0)
        self.opening = Opening(opened["load_ns"], first[0], opened["session"])

    def answer(self, data: Dataset, task: Task, advance: Advance) -> None:
        """Answer every row, and score the answers if there are labels."""
        parts: list[dict[str, np.ndarray]] = []
        for start in range(0, len(data), _ANSWERED_AT_ONCE):
            rows = data.examples[start : start + _ANSWERED_AT_ONCE]
            parts.append(self.worker.answer(rows))
            advance(len(rows))
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}  # (N, classes) float32
        metrics = task.score(outputs, data.labels) if data.labels is not None else {}
        self.accuracy = Accuracy(metrics, tuple(task.chosen(outputs).tolist()))

    def keep(self, taken: Taken) -> None:
        """Keep the times that were taken, and how much memory it needed for all of this."""
        single_ns, batch_ns = tuple(taken.single_ns), tuple(taken.batch_ns)
        self.samples = Samples(single_ns, batch_ns, self.encode_ns, self.worker.peak_rss_bytes())

    def measurement(self) -> Measurement:
        """The candidate's part of the run as a value."""
        return Measurement(self.candidate, self.opening, self.accuracy, self.samples, self.failure)
