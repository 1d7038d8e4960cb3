"""Choosing length buckets: the fixed lengths that texts are padded to where a runtime wants fixed shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ftc.errors import InputError

SMALLEST = 16
"""Tokens of the first bucket where no data says better."""

FITTED = 5
"""Buckets that are fitted to the data; one of twice its longest text and one of the model's longest follow."""


def powers_of_two(longest: int) -> tuple[int, ...]:
    """16, 32, 64, ... below `longest`, then `longest`: for texts of lengths that nobody knows."""
    powers = []
    length = SMALLEST
    while length < longest:
        powers.append(length)
        length *= 2
    return (*powers, longest)


def fitted(lengths: Sequence[int], longest: int) -> tuple[int, ...]:
    """The buckets in which texts of the given lengths carry the least padding.

    :param lengths: tokens of each text, special ones included, none above `longest`
    :param longest: tokens that the model takes at most; always the last bucket, so that nothing is cut shorter
    """
    best = least_padding(lengths, FITTED)
    return tuple(sorted({*best, min(2 * best[-1], longest), longest}))


def least_padding(lengths: Sequence[int], count: int) -> tuple[int, ...]:
    """At most `count` ascending bucket lengths, all of them occurring, with the least padded tokens in sum.

    An optimal partition of the sorted lengths into intervals, by dynamic programming (R. Bellman, "A note on
    cluster analysis and dynamic programming", Mathematical Biosciences 18, 1973).
    """
    values, occurrences = np.unique(np.asarray(lengths), return_counts=True)
    rows = np.concatenate([[0], np.cumsum(occurrences)])  # rows[i]: texts shorter than values[i]
    # costs[i]: tokens of the texts below values[i] in their buckets, with the buckets so far; cuts[i] names them
    costs = np.concatenate([[0.0], np.full(len(values), np.inf)])
    cuts: list[tuple[int, ...]] = [() for _ in range(len(values) + 1)]
    for _ in range(min(count, len(values))):
        wider, chosen = costs.copy(), list(cuts)
        for end in range(1, len(values) + 1):
            bucket = int(values[end - 1])
            totals = costs[:end] + (rows[end] - rows[:end]) * bucket
            start = int(totals.argmin())
            if totals[start] < wider[end]:
                wider[end], chosen[end] = totals[start], (*cuts[start], bucket)
        costs, cuts = wider, chosen
    return cuts[-1]


def checked(lengths: Sequence[int], longest: int) -> tuple[int, ...]:
    """Lengths that a user gave, in order.

    :raises InputError: if one is repeated, below 2, or above what the model takes
    """
    ordered = tuple(sorted(lengths))
    if not ordered or ordered[0] < 2 or ordered[-1] > longest or len(set(ordered)) < len(ordered):
        raise InputError(
            f"--lengths {','.join(map(str, lengths))}: give different numbers of tokens from 2 to {longest}, "
            "which is the longest text that the model takes, such as --lengths 16,32,64."
        )
    return ordered
