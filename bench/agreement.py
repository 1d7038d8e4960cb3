"""Accuracy against the root on the same rows: what was lost, how surely, and what so many rows can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, lgamma, log, sqrt

import numpy as np

from bench.intervals import CONFIDENCE, Z

RESAMPLES = 10_000

COLLAPSED_POINTS = 10.0
"""A class that loses so much, and `COLLAPSED_TIMES` what all rows lose, is named."""
COLLAPSED_TIMES = 3.0
CERTAIN = 0.01
"""Of the class's own exact test; there may be many classes."""


@dataclass(frozen=True, slots=True)
class Drop:
    """What a candidate answers worse than the root; points are hundredths, negative where it is better.

    :param low_points: of the 95 % interval
    :param high_points: of the 95 % interval
    :param only_root: rows that only the root answers rightly
    :param only_candidate: rows that only the candidate answers rightly
    :param p_value: of McNemar's exact test that neither answers better
    :param resolvable_points: smaller drops than this, these rows cannot tell from none
    """

    points: float
    low_points: float
    high_points: float
    only_root: int
    only_candidate: int
    p_value: float
    resolvable_points: float


@dataclass(frozen=True, slots=True)
class Collapse:
    """A class whose rows are answered much worse than by the root; recalls are fractions (0-1)."""

    label: str
    rows: int
    root_recall: float
    recall: float

    def __str__(self) -> str:
        return f"class {self.label}: {self.recall:.1%} of its {self.rows} rows right, {self.root_recall:.1%} before"


def drop(targets: Sequence[int], root: Sequence[int], candidate: Sequence[int], seed: int) -> Drop:
    """Compare two candidates' answers to the same rows.

    Only rows that one of the two answers rightly tell them apart; rows are resampled in pairs (Efron & Tibshirani,
    "An Introduction to the Bootstrap", 1993, chapter 8). Half a row is added on either side, so that no difference in
    few rows is not taken for proof of none (Agresti & Min, "Simple improved confidence intervals for comparing matched
    proportions", 2005).
    """
    right, theirs = np.asarray(targets), np.asarray(root)
    ours = np.asarray(candidate)
    rows = len(right)
    lost = int(((theirs == right) & (ours != right)).sum())
    gained = int(((theirs != right) & (ours == right)).sum())
    shares = np.array([lost + 0.5, gained + 0.5, rows - lost - gained + 1]) / (rows + 2)
    drawn = np.random.default_rng(seed).multinomial(rows, shares, size=RESAMPLES)  # (RESAMPLES, 3)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(100 * (drawn[:, 0] - drawn[:, 1]) / rows, [tail, 100 - tail])
    points = 100 * (lost - gained) / rows
    return Drop(
        points=points,
        low_points=min(float(low), points),
        high_points=max(float(high), points),
        only_root=lost,
        only_candidate=gained,
        p_value=mcnemar(lost, gained),
        resolvable_points=resolvable_points((lost + gained + 1) / (rows + 2), rows),
    )


def mcnemar(only_root: int, only_candidate: int) -> float:
    """The exact test that a row which one alone answers rightly is as often one's as the other's.

    Two-sided, from the binomial distribution (McNemar, "Note on the sampling error of the difference between
    correlated proportions or percentages", 1947, in its exact form).
    """
    count = only_root + only_candidate
    # by logarithms: binomial coefficients of thousands of rows are numbers of thousands of digits
    every = lgamma(count + 1) - count * log(2)
    tail = fsum(exp(every - lgamma(k + 1) - lgamma(count - k + 1)) for k in range(min(only_root, only_candidate) + 1))
    return min(1.0, 2 * tail)


def resolvable_points(discordant: float, rows: int) -> float:
    """The smallest drop whose 95 % interval excludes 0: 100 x 1.96 x sqrt(discordant / rows).

    That is the standard error of a difference of two proportions on the same rows where the difference is small.

    :param discordant: the fraction (0-1) of rows that just one of the two answers rightly
    """
    return 100 * Z * sqrt(discordant / rows)


def collapses(
    labels: Sequence[str], targets: Sequence[int], root: Sequence[int], candidate: Sequence[int]
) -> tuple[Collapse, ...]:
    """The classes that lose far more than all rows together do."""
    right, theirs, ours = np.asarray(targets), np.asarray(root), np.asarray(candidate)
    overall = 100 * ((theirs == right).mean() - (ours == right).mean())
    found = []
    for number, label in enumerate(labels):
        of_class = right == number
        rows = int(of_class.sum())
        if not rows:
            continue
        before, now = theirs[of_class] == number, ours[of_class] == number
        lost_points = 100 * (before.mean() - now.mean())
        certain = mcnemar(int((before & ~now).sum()), int((~before & now).sum())) < CERTAIN
        if certain and lost_points >= max(COLLAPSED_POINTS, COLLAPSED_TIMES * overall):
            found.append(Collapse(label, rows, float(before.mean()), float(now.mean())))
    return tuple(found)
