"""The values of the data room: what is asked of a source, and the examples and labels that came out of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar, overload

from ftc.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Example: TypeAlias = "str | tuple[str, str] | NDArray[np.uint8]"
"""A text, a text pair, or an RGB image as uint8 (H, W, 3)."""

Item = TypeVar("Item", covariant=True)


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of columns (of arrays in an .npz); as a wish, None means: find it by the usual names."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What `ftc.data.load` was asked for; see there."""

    source: str
    modality: Literal["text", "image"]
    classes: tuple[str, ...] | None
    columns: Columns
    pair: bool | None
    need_labels: bool
    split: str | None
    owner: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OnAccess(Sequence[Item], Generic[Item]):
    """A sequence whose items are made when they are asked for, and not kept.

    :param read: makes the item of a row
    :param rows: the rows in this sequence, in its order
    """

    read: Callable[[int], Item]
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> OnAccess[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | OnAccess[Item]:
        if isinstance(index, slice):
            return OnAccess(self.read, self.rows[index])
        return self.read(self.rows[index])


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Examples in the order of their source, and what they are to be told from.

    :param examples: N texts, N text pairs, or N RGB images uint8 (H, W, 3); image files are decoded on
        access, which raises `InputError` for a broken one
    :param labels: (N,) int64 class ids of the checkpoint, None without labels
    :param source: the source as the user gave it
    :param fingerprint: SHA-256 (hex) of the columns taken, the labels, and the texts, pixels or image files'
        bytes: the same wherever the data lies; a head or a sample appends how it was drawn
    :param columns: the columns that were taken
    :param classes: names of the classes, in the order of their ids; empty without labels
    """

    examples: Sequence[Example] = field(repr=False)
    labels: NDArray[np.int64] | None = field(repr=False)
    source: str
    fingerprint: str
    columns: Columns
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    def head(self, rows: int) -> Dataset:
        """The first `rows` rows, or this very dataset if it has no more.

        :raises InputError: if `rows` is not positive
        """
        return self.part(range(min(_at_least_one(rows), len(self))), f"head={rows}")

    def sample(self, rows: int, seed: int) -> Dataset:
        """`rows` rows drawn without replacement, in the order of the source, or this very dataset as above.

        :raises InputError: if `rows` is not positive
        """
        drawn = random.Random(seed).sample(range(len(self)), min(_at_least_one(rows), len(self)))
        return self.part(sorted(drawn), f"sample={rows},seed={seed}")

    def split(self, rows: int, seed: int) -> tuple[Dataset, Dataset | None]:
        """`rows` rows drawn as by `sample`, and those that were not drawn, None if all were.

        :raises InputError: if `rows` is not positive
        """
        drawn = self.sample(rows, seed)
        if drawn is self:
            return self, None
        taken = set(random.Random(seed).sample(range(len(self)), rows))
        others = [row for row in range(len(self)) if row not in taken]
        return drawn, self.part(others, f"not sample={rows},seed={seed}")

    def part(self, rows: Sequence[int], drawn: str) -> Dataset:
        """The rows of these numbers, or this very dataset if they are all in its order.

        :param drawn: how they were chosen, for the fingerprint
        """
        if list(rows) == list(range(len(self))):
            return self
        examples: Sequence[Example]
        if isinstance(self.examples, OnAccess):
            examples = OnAccess(self.examples.read, tuple(self.examples.rows[row] for row in rows))
        else:
            examples = tuple(self.examples[row] for row in rows)
        labels = None if self.labels is None else self.labels[list(rows)]
        return replace(self, examples=examples, labels=labels, fingerprint=f"{self.fingerprint}:{drawn}")


def _at_least_one(rows: int) -> int:
    if rows < 1:
        raise InputError(f"the number of rows must be at least 1, got {rows}")
    return rows
