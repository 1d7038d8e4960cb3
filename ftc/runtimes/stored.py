"""Numbers as a model file stores them, and the values that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ftc.manifest import TensorSpec


def stored(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """A task's values as the file stores them; ids and raw pixels go into integers as they are."""
    kind = np.dtype(spec.dtype)
    if kind.kind not in "iu" or (values.dtype.kind in "iu" and spec.scale is None):
        return values.astype(kind, copy=False)
    limits = np.iinfo(kind)
    numbers = np.rint(values if spec.scale is None else values / np.float32(spec.scale)) + (spec.zero_point or 0)
    kept: np.ndarray = np.clip(numbers, limits.min, limits.max).astype(kind)
    return kept


def value(numbers: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """What stored numbers stand for, in float32."""
    if spec.scale is None:
        return numbers.astype(np.float32, copy=False)
    return (numbers.astype(np.float32) - (spec.zero_point or 0)) * np.float32(spec.scale)
