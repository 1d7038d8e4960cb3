"""Length buckets: runtimes that are fast at fixed shapes get each text padded to the smallest length that fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np

from ftc.errors import InputError
from ftc.preprocessing import TextPreprocessing

if TYPE_CHECKING:
    from ftc.manifest import Manifest

LENGTHS = "lengths"
"""Key of the manifest's run settings that names the buckets, such as ``16,32,64``."""

MASK = "attention_mask"

_DIGITS = 6
"""Of a length: no model takes a million tokens."""


SMALLEST = 16
"""Tokens of the first bucket where no data says better."""


def powers_of_two(longest: int) -> tuple[int, ...]:
    """16, 32, 64, ... below `longest`, then `longest`: for texts of lengths that nobody knows."""
    powers = []
    length = SMALLEST
    while length < longest:
        powers.append(length)
        length *= 2
    return (*powers, longest)


@dataclass(frozen=True, slots=True)
class Buckets:
    """:param lengths: in tokens, ascending; the last is the longest text that the model takes"""

    lengths: tuple[int, ...]
    preprocessing: TextPreprocessing

    @classmethod
    def of(cls, manifest: Manifest) -> Self | None:
        """The buckets that a manifest names; None if it names none.

        :raises InputError: if what it names are no ascending lengths
        """
        named = manifest.run.session_config.get(LENGTHS)
        if named is None or not isinstance(manifest.preprocessing, TextPreprocessing):
            return None
        parts = named.split(",")
        lengths = tuple(int(part) for part in parts if part.isdecimal() and len(part) <= _DIGITS)
        if len(lengths) < len(parts) or lengths[0] < 1 or any(a >= b for a, b in pairwise(lengths)):
            raise InputError(
                f"the manifest's lengths {named[:80]!r} are not ascending numbers of tokens; make it again."
            )
        return cls(lengths, manifest.preprocessing)

    def fitting(self, length: int) -> int:
        """The smallest bucket that holds `length` tokens.

        :raises InputError: if none does
        """
        for bucket in self.lengths:
            if bucket >= length:
                return bucket
        raise InputError(f"a text of {length} tokens is longer than the model takes ({self.lengths[-1]}).")

    def fitted(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The whole batch (B, L), padded to its bucket (B, bucket)."""
        rows, length = next(iter(inputs.values())).shape
        bucket = self.fitting(length)
        if bucket == length:
            return dict(inputs)
        kept = slice(length) if self.preprocessing.padding_side == "right" else slice(bucket - length, None)
        padded = {}
        for name, values in inputs.items():
            # not np.pad, which takes a tenth of a short text's whole inference for three inputs
            padded[name] = np.full((rows, bucket), self.preprocessing.padding(name), values.dtype)
            padded[name][:, kept] = values
        return padded

    def rows(self, inputs: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """Each row of a batch (B, L) by itself (1, bucket), in the bucket that fits its own tokens."""
        for row in range(len(next(iter(inputs.values())))):
            alone = {name: values[row : row + 1] for name, values in inputs.items()}
            if MASK in alone:
                tokens = max(1, int(np.count_nonzero(alone[MASK])))
                if tokens < alone[MASK].shape[1]:
                    kept = slice(tokens) if self.preprocessing.padding_side == "right" else slice(-tokens, None)
                    alone = {name: values[:, kept] for name, values in alone.items()}
            yield self.fitted(alone)


def single_rows(inputs: Mapping[str, np.ndarray], buckets: Buckets | None) -> Iterator[dict[str, np.ndarray]]:
    """Each row of a batch by itself (1, ...), a text in the bucket that fits its own tokens."""
    if buckets is not None:
        yield from buckets.rows(inputs)
        return
    for row in range(len(next(iter(inputs.values())))):
        yield {name: values[row : row + 1] for name, values in inputs.items()}
