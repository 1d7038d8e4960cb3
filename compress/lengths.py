"""Choosing length buckets: the fixed lengths that texts are padded to where a runtime wants fixed shapes."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from ftc.errors import InputError

FITTED = 5
"""Buckets that are fitted to the data; one of twice its longest text and one of the model's longest follow."""


ROWS_AT_ONCE = {"amx_int8": 16, "avx512_vnni": 10}
"""Tokens that an 8-bit matrix product of XNNPACK takes together, by the processor's instructions, best first.

A product pays for whole tiles. With AVX512-VNNI a 6-layer BERT took 0.92 ms for 18 tokens and 1.23 for 22, 1.36 for
30 and 1.67 for 31, and hardly more within a step. An AMX tile has 16 rows.
"""


def fitted(lengths: Sequence[int], longest: int, tile: int = 1) -> tuple[int, ...]:
    """The buckets in which texts of the given lengths carry the least padding.

    :param lengths: tokens of each text, special ones included, none above `longest`
    :param longest: tokens that the model takes at most; always the last bucket, so that nothing is cut shorter
    :param tile: tokens that the processor computes together; buckets are filled up to multiples of it
    """
    best = least_padding([min(-(-length // tile) * tile, longest) for length in lengths], FITTED)
    return tuple(sorted({*best, min(2 * best[-1], longest), longest}))


def rows_at_once(instructions: Container[str]) -> int:
    """The tile of a processor that has these instructions; 1 where none is known."""
    return next((rows for name, rows in ROWS_AT_ONCE.items() if name in instructions), 1)


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
