"""The sampling plan: how many rounds there are, what each holds, and whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TIMED_EXAMPLES = 64
"""Examples in the timed sample; one pass over them is enough for a p90 (see `statistics.P90_FLOOR`)."""

MIN_ROUNDS = 10
MAX_ROUNDS = 40
"""Intervals come from rounds: fewer than ten say little, more than forty hardly narrow them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """:param singles: model calls with a batch of one in each turn
    :param batches: model calls with a whole batch in each turn
    """

    rounds: int
    singles: int
    batches: int


@dataclass(frozen=True, slots=True)
class Round:
    """What every candidate does in one round, and in which order they take their turns."""

    order: tuple[str, ...]
    singles: tuple[int, ...]
    batches: tuple[int, ...]


def fit(pass_ns: int, singles: int, batches: int, budget_ns: float) -> Plan:
    """The plan that fits a time budget: whole passes over the examples if possible, else parts of them.

    :param pass_ns: one pass of all candidates over all single examples and all batches
    :param singles: examples there are
    :param batches: batches there are
    """
    pass_ns = max(pass_ns, 1)
    share = min(1.0, budget_ns / (MIN_ROUNDS * pass_ns))
    rounds = int(np.clip(budget_ns / (pass_ns * share), MIN_ROUNDS, MAX_ROUNDS))
    return Plan(rounds, max(1, int(singles * share)), max(1, int(batches * share)))


def rounds(plan: Plan, names: Sequence[str], singles: int, batches: int, seed: int) -> tuple[Round, ...]:
    """All rounds, with candidates and examples shuffled; the examples are the same for all candidates."""
    random = np.random.default_rng(seed)

    def drawn(count: int, taken: int) -> tuple[int, ...]:
        return tuple(random.permutation(count)[:taken].tolist())

    return tuple(
        Round(
            tuple(random.permutation(list(names)).tolist()),
            drawn(singles, plan.singles),
            drawn(batches, plan.batches),
        )
        for _ in range(plan.rounds)
    )


def grouped(lengths: Sequence[int], batch_size: int) -> tuple[tuple[int, ...], ...]:
    """Full batches of rows of similar length: little is padded. The last is filled with the shortest."""
    by_length = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    count = -(-len(by_length) // batch_size)
    return tuple(
        tuple(by_length[(batch * batch_size + offset) % len(by_length)] for offset in range(batch_size))
        for batch in range(count)
    )
