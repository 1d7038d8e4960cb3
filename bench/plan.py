"""The sampling plan: what each round holds, whose turn it is, and when there are enough rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

TIMED_EXAMPLES = 64
"""Examples in the timed sample; one pass over them is enough for a 90th percentile (see `statistics.floor`)."""

PLANNED_ROUNDS = 20
MIN_ROUNDS = 10
"""Intervals come from rounds: twenty are planned for, ten are taken even if that was too hopeful."""

MOST_ROUNDS = 1000
"""That are planned for: in a long run turns are longer. Resamples of them are drawn in memory (`bench.intervals`)."""

LEAST_NS = 5_000_000_000
"""That rounds take, if the budget allows, though the intervals are narrow: a lone candidate has none."""

TURN_NS = 50_000_000
"""What a turn is to take. The longer it is, the more of the machine's ups and downs lie between two candidates."""

LEAST_CALLS = 24
"""Of the first cell in a turn, if that is no longer than `LONG_TURN_NS`: the first few are slower by 2 to 10 %."""

LONG_TURN_NS = 800_000_000
"""What a turn of a slow model takes at most; and what one on a GPU takes, before which its clocks must settle."""

MOST_CALLS = 4096
"""In a cell of a turn: its times are one line of the results."""


@dataclass(frozen=True, slots=True)
class Round:
    """What every candidate does in one round, and in which order they take their turns.

    :param picks: for each cell, which of its batches are run, one after another
    """

    number: int
    order: tuple[str, ...]
    picks: tuple[tuple[int, ...], ...]


def fit(
    pass_ns: float, counts: Sequence[int], candidates: int, left_ns: float, turn_ns: float = TURN_NS
) -> tuple[int, ...]:
    """Model calls of each cell in a turn: the same part of a pass over its batches, or as many passes, of each.

    :param pass_ns: one pass of all candidates over all cells
    :param counts: batches of each cell
    :param left_ns: what is left of the time budget
    :param turn_ns: what a turn is to take at the least, if the budget allows
    """
    pass_ns = max(pass_ns, 1.0)
    least_ns = LEAST_CALLS * pass_ns / (candidates * counts[0])
    turn_ns = max(turn_ns, min(least_ns, LONG_TURN_NS), left_ns / (MOST_ROUNDS * candidates))
    passes = min(turn_ns * candidates / pass_ns, left_ns / (PLANNED_ROUNDS * pass_ns))
    return tuple(min(max(1, int(count * passes)), max(count, MOST_CALLS)) for count in counts)


def round_of(number: int, names: Sequence[str], counts: Sequence[int], calls: Sequence[int], seed: int) -> Round:
    """A round, with candidates and batches shuffled; it depends on nothing but its number and the seed.

    Of two rounds, the second has the first's order of candidates reversed: each is as often before another as after it,
    so that neither its place nor a machine that slows down steadily favours one.

    :param counts: batches of each cell
    :param calls: model calls of each cell
    """
    random = np.random.default_rng([seed, number])
    order = tuple(np.random.default_rng([seed, number // 2, 1]).permutation(sorted(names)).tolist())
    if number % 2:
        order = order[::-1]

    def drawn(count: int, taken: int) -> tuple[int, ...]:
        passes = [random.permutation(count) for _ in range(-(-taken // count))]
        return tuple(np.concatenate(passes)[:taken].tolist())

    return Round(number, order, tuple(drawn(count, taken) for count, taken in zip(counts, calls, strict=True)))


def poisson_ns(rate_per_s: float, queries: int, seed: Sequence[int]) -> list[int]:
    """When queries arrive that come by chance, as a Poisson process: nanoseconds since the beginning, rising."""
    waits_s = np.random.default_rng(list(seed)).exponential(1 / rate_per_s, queries)
    times: list[int] = (np.cumsum(waits_s) * 1e9).astype(np.int64).tolist()
    return times


def arrivals_ns(number: int, rate_per_s: float, queries: int, seed: int) -> list[int]:
    """When the queries of a round arrive, for every candidate; results do not hold it, since nothing else decides."""
    return poisson_ns(rate_per_s, queries, (seed, number, 2))


@dataclass(slots=True)
class Patience:
    """When there are enough rounds: intervals are as narrow as asked, or the time budget has ended.

    Whether they are narrow is asked ever more seldom, since a question asked often is answered yes by chance.

    :param widest: half the width of the widest interval now, as a fraction; None while that cannot be said
    :param precision: what it is to come down to; None takes the whole budget
    """

    budget_ns: float
    precision: float | None
    widest: Callable[[], float | None]
    clock: Callable[[], int] = time.perf_counter_ns
    _began_ns: int = field(init=False)
    _first_ns: int | None = None
    _asked: int = 0

    def __post_init__(self) -> None:
        self._began_ns = self.clock()

    @property
    def left_ns(self) -> float:
        """What is left of the budget."""
        return max(self.budget_ns - (self.clock() - self._began_ns), 0.0)

    def is_over(self, rounds: int) -> bool:
        """Whether no further round is to be taken after so many; asked before the first as well."""
        if self._first_ns is None:
            self._first_ns = self.clock()
        if rounds >= MIN_ROUNDS and not self.left_ns:
            return True
        if self.precision is None or rounds < max(MIN_ROUNDS, 1.25 * self._asked):
            return False
        if self.clock() - self._first_ns < min(LEAST_NS, self.budget_ns):
            return False
        self._asked = rounds
        widest = self.widest()
        return widest is not None and widest <= self.precision


def grouped(lengths: Sequence[int], batch_size: int) -> tuple[tuple[int, ...], ...]:
    """Full batches of rows of similar length: little is padded. The last is filled with the shortest."""
    by_length = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    count = -(-len(by_length) // batch_size)
    return tuple(
        tuple(by_length[(batch * batch_size + offset) % len(by_length)] for offset in range(batch_size))
        for batch in range(count)
    )
