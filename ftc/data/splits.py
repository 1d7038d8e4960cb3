"""Rows set apart from others: in the proportions of the classes, and never the same row on both sides."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftc.errors import InputError

if TYPE_CHECKING:
    from ftc.data.dataset import Dataset, Example


@dataclass(frozen=True, slots=True, eq=False)
class Deduplicated:
    """Rows without those that occur elsewhere.

    :param repeated: rows that were left out because an earlier row of the same data is the same
    :param leaking: rows that were left out because they are among the rows that are to judge
    :param contradictory: examples that occur with different labels; the first of each is kept
    """

    data: Dataset
    repeated: int
    leaking: int
    contradictory: int


def deduplicated(data: Dataset, others: Sequence[Dataset]) -> Deduplicated:
    """The first of each of the same examples, and none that is in `others`.

    Texts are the same if they differ in nothing but outer spaces and case, images if every pixel is.

    :raises InputError: if nothing is left
    """
    taken = {key for other in others for key in map(_key, other.examples)}
    seen: dict[bytes, int] = {}
    kept, repeated, leaking = [], 0, 0
    different: set[bytes] = set()
    for row, example in enumerate(data.examples):
        key = _key(example)
        if key in taken:
            leaking += 1
        elif key in seen:
            repeated += 1
            if data.labels is not None and data.labels[row] != data.labels[seen[key]]:
                different.add(key)
        else:
            seen[key] = row
            kept.append(row)
    if not kept:
        judges = " and ".join(dict.fromkeys(other.source for other in others))
        raise InputError(
            f"every row of {data.source} is in {judges} too, whose rows judge: none is left to learn from."
        )
    # by their numbers: what is left of the same rows depends on the others
    named = hashlib.sha256(repr(kept).encode()).hexdigest()[:12]
    return Deduplicated(data.part(kept, f"distinct={named}"), repeated, leaking, len(different))


def stratified(data: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """The rows that stay and those set apart, `share` (0-1) of each class, at least one row of a class with two.

    :raises InputError: if the rows have no labels, or nothing would be set apart
    """
    import numpy as np

    if data.labels is None:
        raise InputError(f"{data.source} has no labels to divide by")
    random = np.random.default_rng(seed)
    apart: list[int] = []
    for class_id, count in sorted(Counter(data.labels.tolist()).items()):
        rows = random.permutation(np.flatnonzero(data.labels == class_id))
        wanted = max(round(share * count), 1 if count > 1 else 0)
        apart += rows[: min(wanted, count - 1)].tolist()
    if not apart:
        raise InputError(f"{data.source}: {len(data)} rows are too few to set any of them apart")
    aside = set(apart)
    staying = [row for row in range(len(data)) if row not in aside]
    drawn = f"stratified={share:g},seed={seed}"
    return data.part(staying, f"not {drawn}"), data.part(sorted(apart), drawn)


def _key(example: Example) -> bytes:
    if isinstance(example, str):
        return example.strip().casefold().encode("utf-8", "surrogatepass")
    if isinstance(example, tuple):
        return b"\0".join(_key(text) for text in example)
    return hashlib.sha256(str(example.shape).encode() + example.tobytes()).digest()
