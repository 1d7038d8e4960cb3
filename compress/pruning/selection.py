"""Which heads and neurons stay: over all layers together, the ones whose loss is worth their cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compress.pruning.encoder import Kept
from compress.pruning.scores import Scores

MULTIPLE = 8
"""Neurons stay in such groups: kernels compute that many columns together."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one part of a layer costs, in parameters or in time."""

    head: float
    neuron: float


@dataclass(frozen=True, slots=True)
class _Part:
    """A head, or a group of neurons of similar score, that stays or goes."""

    layer: int
    members: np.ndarray
    score: float
    cost: float

    @property
    def worth(self) -> float:
        return self.score / self.cost


def select(scores: Sequence[Scores], costs: Sequence[Cost], budget: float) -> tuple[Kept, ...]:
    """The heads and neurons that cost at most `budget` together and lose the least score.

    For every number of heads, the best of them are taken and the rest of the budget is filled up with the best
    groups of neurons; the number that loses least wins (W. Kwon et al., 2022, algorithm 1). Every layer keeps a head
    and a group of neurons: without them it would be another architecture.

    :raises ValueError: if `budget` does not even pay for those
    """
    heads = [part for number, layer in enumerate(scores) for part in _parts(number, layer.heads, costs[number].head, 1)]
    groups = [
        part
        for number, layer in enumerate(scores)
        for part in _parts(number, layer.neurons, costs[number].neuron, MULTIPLE)
    ]
    needed_heads, free_heads = _split(heads)
    needed_groups, free_groups = _split(groups)
    left = budget - sum(part.cost for part in (*needed_heads, *needed_groups))
    if left < 0:
        raise ValueError("the budget is less than one head and one group of neurons in every layer cost")
    spent = np.cumsum([0.0, *(part.cost for part in free_heads)])
    won = np.cumsum([0.0, *(part.score for part in free_heads)])
    group_spent = np.cumsum([0.0, *(part.cost for part in free_groups)])
    group_won = np.cumsum([0.0, *(part.score for part in free_groups)])
    affordable = np.flatnonzero(spent <= left)
    filled = np.searchsorted(group_spent, left - spent[affordable], side="right") - 1
    total = won[affordable] + group_won[filled]
    best = int(np.flatnonzero(total == total.max())[-1])  # of equals, the one that keeps more heads
    chosen_heads = (*needed_heads, *free_heads[: affordable[best]])
    chosen_groups = (*needed_groups, *free_groups[: filled[best]])
    return tuple(
        Kept(
            _mask(len(layer.heads), number, chosen_heads),
            _mask(len(layer.neurons), number, chosen_groups),
        )
        for number, layer in enumerate(scores)
    )


def _parts(layer: int, scores: np.ndarray, cost: float, size: int) -> list[_Part]:
    order = np.argsort(-scores, kind="stable")
    cuts = [order[start : start + size] for start in range(0, len(order), size)]
    return [_Part(layer, members, float(scores[members].sum()), cost * len(members)) for members in cuts]


def _split(parts: Sequence[_Part]) -> tuple[list[_Part], list[_Part]]:
    """The first of each layer, which must stay, and the others by what they are worth."""
    first: dict[int, _Part] = {}
    for part in parts:
        first.setdefault(part.layer, part)
    free = [part for part in parts if part is not first[part.layer]]
    return list(first.values()), sorted(free, key=lambda part: -part.worth)


def _mask(size: int, layer: int, parts: Sequence[_Part]) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    for part in parts:
        if part.layer == layer:
            mask[part.members] = True
    return mask
