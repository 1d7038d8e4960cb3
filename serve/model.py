"""The model inside a service: examples in, predictions out, and a check that it answers as it should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftc import golden
from ftc.errors import InputError
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks.task import open_task
from serve.batches import batches

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Example
    from ftc.runtimes.session import Session
    from ftc.tasks.classification import Prediction
    from ftc.tasks.task import Task
    from serve.bundle import Bundle

FLOAT_TOLERANCE = 1e-3
"""Largest difference of a score (0-1) that another processor's float arithmetic may cause."""

QUANTIZED_TOLERANCE = 0.05
"""The same for quantized models: processors without VNNI saturate and round 8-bit products differently, which
moves scores by hundredths, while a wrong tokenizer, label order or weight file moves them by tenths."""


@dataclass(frozen=True, slots=True)
class Model:
    """An opened artifact that answers examples of its task."""

    artifact: Artifact
    session: Session
    task: Task

    @classmethod
    def open(cls, bundle: Bundle) -> Model:
        """Load tokenizer or image preprocessing, and the model with the bundle's number of threads."""
        session = open_session(bundle.artifact, SessionOptions(bundle.settings.threads))
        return cls(bundle.artifact, session, open_task(bundle.artifact))

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """One prediction for each example, in their order."""
        answers: list[Prediction | None] = [None] * len(examples)
        for rows in batches(examples):
            outputs = self.session.run(self.task.encode([examples[row] for row in rows]))
            for row, answer in zip(rows, self.task.decode(outputs), strict=True):
                answers[row] = answer
        return [answer for answer in answers if answer is not None]

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
        for number, (example, wanted) in enumerate(zip(kept.examples, expected, strict=True)):
            difference = first_difference(self.predict([example])[0].scores, wanted.scores, tolerance)
            if difference is not None:
                return f"golden example {number}: {difference}"
        return None


def first_difference(scores: dict[str, float], wanted: dict[str, float], tolerance: float) -> str | None:
    """The first label whose score is off by more than `tolerance`, in words; None if there is none."""
    if scores.keys() != wanted.keys():
        return f"answered for the labels {', '.join(scores)}; {', '.join(wanted)} were expected"
    for label, score in scores.items():
        if not abs(score - wanted[label]) <= tolerance:  # not-a-number is a difference, too
            return f"label {label!r} scored {score:.6f}, {wanted[label]:.6f} was expected (+/- {tolerance:g})"
    return None
