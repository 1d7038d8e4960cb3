"""Comparing a new artifact with its parent on the golden examples, over several batch sizes with padded rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ftc.artifact import Artifact
from ftc.data import Example
from ftc.errors import ParityError
from ftc.manifest import ParityRecord
from ftc.runtimes.session import open_session
from ftc.tasks.task import Task, open_task

ABSOLUTE_TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-3


def answers(
    artifact: Artifact,
    examples: Sequence[Example],
    task: Task | None = None,
    *,
    batch_size: int = 1,
    advance: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Answers (N, classes) float32 to examples, each on its own unless told otherwise, with the artifact's own runtime.

    :param task: what encodes the examples; None for the artifact's own task
    :param advance: is told of every batch how many rows it had
    """
    session, output = open_session(artifact), artifact.manifest.output
    task = task or open_task(artifact)
    found = []
    for start in range(0, len(examples), batch_size):
        batch = examples[start : start + batch_size]
        found.append(session.run(task.encode(batch))[output])
        if advance is not None:
            advance(len(batch))
    return np.concatenate(found)


def compare(
    artifact: Artifact, examples: Sequence[Example], reference: np.ndarray, *, lossy: bool
) -> tuple[ParityRecord, np.ndarray]:
    """Run the golden examples through an artifact alone, in small batches and all at once.

    :param reference: (N, classes) float32, what the parent answers for each example on its own
    :param lossy: whether the step may change outputs; if not, every logit must lie within
        1e-4 + 1e-3 x |reference|
    :return: the record for the manifest, and the answers (N, classes) for batches of one
    :raises ParityError: if an answer is not finite, or a float export is outside the tolerance; the message names
        the worst logit
    """
    task, session = open_task(artifact), open_session(artifact)
    batch_sizes = tuple(sorted({1, min(3, len(examples)), len(examples)}))
    differences, agreements, alone = [], [], np.empty_like(reference)
    for size in batch_sizes:
        for start in range(0, len(examples), size):
            expected = reference[start : start + size]
            logits = session.run(task.encode(examples[start : start + size]))[artifact.manifest.output]
            if logits.shape != expected.shape:
                raise ParityError(
                    f"{artifact.manifest.name}: a batch of {len(expected)} gives logits of shape {logits.shape}, "
                    f"the parent gives {expected.shape}: the export has lost its batch dimension, or the file is "
                    "that of another model."
                )
            if not np.isfinite(logits).all():
                raise ParityError(
                    f"{artifact.manifest.name}: the answers to a batch of {len(expected)} golden examples are not all "
                    "finite numbers: the step has broken the model. Try other options of it, or the float export."
                )
            difference = np.abs(logits.astype(np.float64) - expected)  # (B, classes)
            excess = difference - (ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * np.abs(expected))
            if not lossy and (excess > 0).any():
                row, column = np.unravel_index(int(excess.argmax()), excess.shape)
                raise ParityError(
                    f"{artifact.manifest.name}: logit {column} of golden example {start + row} in a batch of "
                    f"{len(expected)} is {logits[row, column]:.6g}, the parent says {expected[row, column]:.6g}; "
                    f"allowed is a difference of {ABSOLUTE_TOLERANCE:g} + {RELATIVE_TOLERANCE:g} x |logit|. "
                    "The exported graph does not compute what its parent does; an ONNX export may with --graph plain."
                )
            differences.append(difference)
            agreements.append(logits.argmax(-1) == expected.argmax(-1))
            if size == 1:
                alone[start] = logits[0]
    all_differences, all_agreements = np.concatenate(differences), np.concatenate(agreements)
    record = ParityRecord(
        lossy=lossy,
        max_abs_difference=float(all_differences.max()),
        mean_abs_difference=float(all_differences.mean()),
        label_agreement=float(all_agreements.mean()),
        rows=len(all_agreements),
        batch_sizes=batch_sizes,
    )
    return record, alone
