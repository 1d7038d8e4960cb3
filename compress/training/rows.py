"""Rows as a training takes them: numbers of rows in an order of its own, batches encoded when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Sampler

from ftc.console import caution, progress, say
from ftc.data.splits import deduplicated

if TYPE_CHECKING:
    from ftc.data import Dataset
    from ftc.tasks.task import Task

LABELS = "labels"
"""The name of the classes among the tensors that a loader gives."""

_ROWS = "rows"

_POOL_BATCHES = 50
"""Batches of rows drawn together and sorted by length: little padding, and still another order in each epoch."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some rows, ready for a network.

    :param inputs: as the model takes them, the batch along axis 0
    :param labels: (B,) int64, or None where the rows have none
    :param rows: (B,) int64, their numbers
    """

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor | None
    rows: np.ndarray

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor]) -> Batch:
        """A batch from what a loader gives."""
        inputs = {name: values for name, values in tensors.items() if name not in (LABELS, _ROWS)}
        return cls(inputs, tensors.get(LABELS), tensors[_ROWS].cpu().numpy())


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Labelled or unlabelled examples that become batches.

    :param labels: (N,) int64, or None
    """

    data: Dataset
    task: Task
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> tuple[Rows, int]:
        """A row, not encoded yet: `batch` does that for all of a batch at once."""
        return self, row

    @staticmethod
    def collate(batch: Sequence[tuple[Rows, int]]) -> dict[str, torch.Tensor]:
        """The tensors of rows that a loader has picked."""
        return batch[0][0].tensors([row for _, row in batch])

    def tensors(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """What `Batch.of` takes, for these rows."""
        encoded = self.task.encode([self.data.examples[row] for row in rows])
        tensors = {name: torch.from_numpy(values) for name, values in encoded.items()}
        tensors[_ROWS] = torch.tensor(list(rows))
        if self.labels is not None:
            tensors[LABELS] = torch.from_numpy(self.labels[list(rows)])
        return tensors

    def lengths(self) -> np.ndarray:
        """(N,) int64, what batches are grouped by."""
        if self.task.modality == "image":
            return np.zeros(len(self.data), np.int64)
        return np.fromiter(map(self.task.length, self.data.examples), np.int64, len(self.data))


_HELD_OUT = 0x48454C44
"""Makes of a seed another stream of random numbers than pruning takes its rows by, which is that of the seed alone."""

_MOST_HELD_OUT = 2000
"""Rows that tell scores half a point apart; more would cost time that training needs."""


def held_out(data: Dataset, part: float, seed: int) -> tuple[Dataset, Dataset | None]:
    """The rows to train on, and the rows to judge with: a part (0-1) of all, at most 2,000; None if that is no row.

    Rows that repeat an earlier one are left out and counted aloud: none is on both sides.
    """
    if int(part * len(data)) == 0:
        return data, None
    distinct = apart(data, [])
    rows = min(int(part * len(distinct)), _MOST_HELD_OUT)
    if rows == 0:
        return distinct, None
    order = np.random.default_rng((seed, _HELD_OUT)).permutation(len(distinct))
    drawn = f"held-out={rows},seed={seed}"
    judged, training = np.sort(order[:rows]).tolist(), np.sort(order[rows:]).tolist()
    return distinct.part(training, f"not {drawn}"), distinct.part(judged, drawn)


def apart(data: Dataset, judging: Sequence[Dataset]) -> Dataset:
    """The rows that occur once, and not among those that judge; what was left out is said."""
    with progress("looking for rows that repeat"):
        found = deduplicated(data, judging)
    if found.leaking:
        caution(f"left out of {data.source}, being among the rows that are to judge: {found.leaking}")
    if found.repeated:
        say(f"left out of {data.source}, repeating an earlier row: {found.repeated}")
    if found.contradictory:
        caution(f"examples of {data.source} with several labels, of which the first counts: {found.contradictory}")
    return found.data


class SimilarLengths(Sampler[int]):
    """Every row once in each epoch, rows of similar length together, in an order that seed and epoch alone decide.

    A training that goes on after a kill therefore sees the rows it would have seen.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int) -> None:
        self._lengths = lengths  # (N,) int64
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self._seed, self.epoch))
        shuffled = random.permutation(len(self._lengths))
        pool = _POOL_BATCHES * self._batch_size
        batches = []
        for start in range(0, len(shuffled), pool):
            drawn = shuffled[start : start + pool]
            drawn = drawn[np.argsort(self._lengths[drawn], kind="stable")]
            batches += [drawn[first : first + self._batch_size] for first in range(0, len(drawn), self._batch_size)]
        # a batch that is not full must come last: the loader cuts the rows into batches again
        full = [batch for batch in batches if len(batch) == self._batch_size]
        rest = [batch for batch in batches if len(batch) < self._batch_size]
        order = [full[place] for place in random.permutation(len(full))]
        return iter(np.concatenate([*order, *rest]).tolist())
