"""The model inside a service: examples in, predictions out, and a check that it answers as it should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftc import golden
from ftc.errors import InputError
from ftc.runtimes.session import SessionOptions, available_cores, open_session
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.runtimes.session import Session
    from ftc.tasks.classification import Prediction
    from ftc.tasks.encoding import Encoded
    from ftc.tasks.task import Task
    from serve.bundle import Bundle, Settings

FLOAT_TOLERANCE = 1e-3
"""Largest difference of a score (0-1) that another processor's float arithmetic may cause."""

QUANTIZED_TOLERANCE = 0.05
"""The same for quantized models: processors without VNNI saturate and round 8-bit products differently, which
moves scores by hundredths, while a wrong tokenizer, label order or weight file moves them by tenths."""


INDEPENDENT_TOLERANCE = 1e-3
"""Largest difference of a score that other rows of the same batch may cause without being said to change it."""


def threads_and_callers(runtime: str, settings: Settings) -> tuple[int, int]:
    """Threads of one run of the model on this machine, and how many runs go side by side in a process.

    Without a number, a session whose calls go side by side gets one thread for each of as many calls as the process
    has cores; others get all of these for one call. Threads of one operator wait for each other, calls do not.
    """
    from ftc.runtimes import RUNTIMES

    cores = max(1, available_cores() // (settings.workers or 1))
    concurrent = RUNTIMES.load(runtime).concurrent
    threads = settings.threads or (1 if concurrent else cores)
    return threads, max(1, cores // threads) if concurrent else 1


@dataclass(frozen=True, slots=True)
class Model:
    """An opened artifact that answers examples of its task.

    :param threads: of one run
    :param callers: threads that may ask the session at the same time
    """

    artifact: Artifact
    session: Session
    task: Task
    threads: int
    callers: int

    @classmethod
    def open(cls, bundle: Bundle) -> Model:
        """Load tokenizer or image preprocessing, and the model with the bundle's number of threads.

        See `threads_and_callers`.
        """
        threads, callers = threads_and_callers(bundle.artifact.manifest.run.runtime, bundle.settings)
        session = open_session(bundle.artifact, SessionOptions(threads))
        return cls(bundle.artifact, session, open_task(bundle.artifact), threads, callers)

    def answer(self, rows: Sequence[Encoded]) -> list[Prediction]:
        """One prediction for each row of a batch, in their order."""
        return self.task.decode(self.session.run(self.task.batch(rows)))

    def answer_alone(self, rows: Sequence[Encoded]) -> list[Prediction]:
        """The same, each row in a run of its own."""
        return [self.answer([row])[0] for row in rows]

    def self_check(self) -> str | None:
        """Answer every golden example alone; the first wrong answer in words, or None if all are right.

        The tolerance allows for another processor than the one the artifact was made on.
        """
        kept = golden.read(self.artifact.path)
        if not kept.examples:
            raise InputError(f"{self.artifact.path} holds no golden examples to check the service with.")
        parity = self.artifact.manifest.parity
        tolerance = QUANTIZED_TOLERANCE if parity is not None and parity.lossy else FLOAT_TOLERANCE
        expected = self.task.decode({self.artifact.manifest.output: kept.expected})
        for number, (example, wanted) in enumerate(zip(self.task.encode_each(kept.examples), expected, strict=True)):
            difference = first_difference(self.answer([example])[0].scores, wanted.scores, tolerance)
            if difference is not None:
                return f"golden example {number}: {difference}"
        return None

    def rows_are_independent(self) -> bool:
        """Whether the golden examples get the same answers together, in batches of like lengths, as each alone.

        They do not where a batch shares its scales, as in dynamic INT8: scores of SST-2 rows moved by up to 0.26 with
        the rows that other clients happened to send.
        """
        rows = sorted(self.task.encode_each(golden.read(self.artifact.path).examples), key=lambda row: row.length)
        for start in range(len(rows) - 1):
            pair = rows[start : start + 2]
            alone = [self.answer([row])[0].scores for row in pair]
            for scores, wanted in zip(self.answer(pair), alone, strict=True):
                if first_difference(scores.scores, wanted, INDEPENDENT_TOLERANCE) is not None:
                    return False
        return True


def first_difference(scores: dict[str, float], wanted: dict[str, float], tolerance: float) -> str | None:
    """The first label whose score is off by more than `tolerance`, in words; None if there is none."""
    if scores.keys() != wanted.keys():
        return f"answered for the labels {', '.join(scores)}; {', '.join(wanted)} were expected"
    for label, score in scores.items():
        if not abs(score - wanted[label]) <= tolerance:  # not-a-number is a difference, too
            return f"label {label!r} scored {score:.6f}, {wanted[label]:.6f} was expected (+/- {tolerance:g})"
    return None
