"""From raw times to numbers that can be trusted: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

P90_FLOOR = 64
"""Fewest samples for a 90th percentile: what the early stopping rule of MLPerf's load generator asks for."""

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast as the reference, with a 95 % interval; above 1 is faster."""

    value: float
    low: float
    high: float

    @property
    def is_faster(self) -> bool:
        """Whether the whole interval lies above 1."""
        return self.low > 1.0

    @property
    def is_slower(self) -> bool:
        """Whether the whole interval lies below 1."""
        return self.high < 1.0


def median_ns(times: Sequence[Sequence[int]]) -> float:
    """The median over all rounds."""
    return float(np.median(np.concatenate([np.asarray(row) for row in times])))


def p90_ns(times: Sequence[Sequence[int]]) -> float | None:
    """The 90th percentile over all rounds; None where there are too few samples to know it."""
    pooled = np.concatenate([np.asarray(row) for row in times])
    return float(np.percentile(pooled, 90)) if len(pooled) >= P90_FLOOR else None


def rows_per_second(times: Sequence[Sequence[int]], batch_size: int) -> float:
    """Throughput: the median over rounds of rows divided by the time they took."""
    return float(np.median([batch_size * len(row) / sum(row) * 1e9 for row in times]))


def speed_ratio(reference: Sequence[Sequence[int]], candidate: Sequence[Sequence[int]], seed: int = 0) -> Ratio:
    """The reference's time over the candidate's: the median over rounds of the ratios of their medians.

    Both sides of a ratio come from the same round, so what slowed the whole machine down cancels out. The
    interval is the percentile bootstrap over rounds (Efron & Tibshirani, "An Introduction to the Bootstrap",
    1993, chapter 13).

    :param reference: times of each round, in any unit
    :param candidate: times of the same rounds, in the same unit
    :param seed: of the resampling
    """
    paired = zip(reference, candidate, strict=True)
    ratios = np.array([np.median(theirs) / np.median(ours) for theirs, ours in paired])  # (R,) float64
    random = np.random.default_rng(seed)
    drawn = random.integers(len(ratios), size=(RESAMPLES, len(ratios)))
    medians = np.median(ratios[drawn], axis=1)  # (RESAMPLES,)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(medians, [tail, 100 - tail])
    return Ratio(float(np.median(ratios)), float(low), float(high))
