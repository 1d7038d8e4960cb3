"""The rows that pruning looks at: some decide what goes, others tell what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from ftc.errors import InputError
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from compress.pruning.scores import Inputs
    from ftc.artifact import Artifact
    from ftc.data import Dataset

LEAST_ROWS = 32
"""Fewer rows say too little of a network's thousands of parts."""

CHECKED = 5
"""One in so many labelled rows decides nothing: the score before and after is taken on these, at most 512."""

BATCH = {"text": 32, "image": 8}

_MOST_CHECKED = 512
_SEED = 0


def split(data: Dataset | None, step: str) -> tuple[Dataset | None, Dataset]:
    """The rows to check with, if they have labels, and the rows to decide with.

    :param step: its name, for messages
    :raises InputError: if there are too few
    """
    if data is None or len(data) < LEAST_ROWS:
        raise InputError(
            f"{step} needs at least {LEAST_ROWS} rows to tell which parts matter, better 2,000 texts or 250 "
            f"images; there are {0 if data is None else len(data)}."
        )
    if data.labels is None:
        return None, data
    checked, deciding = data.split(min(len(data) // CHECKED, _MOST_CHECKED), _SEED)
    assert deciding is not None, "a fifth is not all"
    return checked, deciding


def batches(source: Artifact, data: Dataset) -> Iterator[Inputs]:
    """Rows of similar length together, so that little is padding."""
    task = open_task(source)
    lengths = [task.length(example) for example in data.examples]
    order = sorted(range(len(data)), key=lengths.__getitem__)
    size = BATCH[source.manifest.preprocessing.kind]
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        encoded = task.encode([data.examples[row] for row in rows])
        yield {name: torch.from_numpy(values) for name, values in encoded.items()}
