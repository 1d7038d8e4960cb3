"""Which channels stay: those go first that matter least for the work they are, until the rest fits a budget."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compress.pruning.channels import Channels, Layer, Uses, is_depthwise

MULTIPLE = 8
"""Channels are left in such numbers: kernels compute that many together."""

LEAST_SHARE = 1 / 8
"""Part of a set that stays whatever it scores: scores are of channels that go while the others are there."""


class TooLittle(Exception):
    """A budget is less than what must stay.

    :param least: part (0-1) of the work that must
    """

    def __init__(self, least: float) -> None:
        super().__init__(least)
        self.least = least


@dataclass(frozen=True, slots=True)
class _Width:
    """Channels out of and into a layer, both of them smaller than at first.

    :param each: multiply-accumulates of a row for one output and one input
    :param groups: parts that outputs and inputs fall into, each working apart
    """

    outputs: float
    inputs: float
    each: int
    groups: int

    @property
    def work(self) -> float:
        """Multiply-accumulates of a row."""
        return self.outputs * self.inputs / self.groups * self.each


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """The channels of a set in the order in which they go, and how many have gone.

    :param order: (C / ways,) numbers within a run
    :param scores: (C / ways,) ascending, of all runs together
    """

    channels: Channels
    order: np.ndarray
    scores: np.ndarray
    gone: int = 0

    @property
    def step(self) -> int:
        """How many go next; none if no more may."""
        ways = self.channels.ways
        multiple = math.lcm(MULTIPLE, ways) // ways
        left = len(self.order) - self.gone
        count = left % multiple or multiple
        return count if left - count >= max(multiple, LEAST_SHARE * len(self.order)) else 0

    @property
    def score(self) -> float:
        """Of those that go next."""
        return float(self.scores[self.gone : self.gone + self.step].sum())

    @property
    def kept(self) -> np.ndarray:
        """(C,) bool"""
        run = np.ones(len(self.order), dtype=bool)
        run[self.order[: self.gone]] = False
        return np.tile(run, self.channels.ways)


def work_of(uses: Collection[Uses]) -> int:
    """Multiply-accumulates of a row in all layers."""
    return sum(use.places * use.layer.weight.numel() for use in uses)


def select_channels(
    channels: Sequence[Channels], scores: Sequence[np.ndarray], uses: Collection[Uses], budget: float
) -> tuple[np.ndarray, ...]:
    """The channels that stay, (C,) bool for each set, so that a row takes at most `budget` multiply-accumulates.

    Step by step, the eight channels of least score for the work they are go. That work is counted anew after each
    step: it is less when channels on the other side of a layer have gone.

    :param scores: (C,) for each set
    :raises TooLittle: if what must stay of every set takes more
    """
    widths = {use.layer: _width(use) for use in uses}
    ranked = [_rank(each, score) for each, score in zip(channels, scores, strict=True)]
    whole = sum(width.work for width in widths.values())
    while (work := sum(width.work for width in widths.values())) > budget:
        worths = [_worth(each, widths) for each in ranked]
        number = min(range(len(ranked)), key=worths.__getitem__)
        if math.isinf(worths[number]):
            raise TooLittle(work / whole)
        widths |= _narrower(ranked[number], widths)
        ranked[number] = replace(ranked[number], gone=ranked[number].gone + ranked[number].step)
    return tuple(each.kept for each in ranked)


def _rank(channels: Channels, scores: np.ndarray) -> _Ranked:
    together = scores.reshape(channels.ways, -1).sum(0)
    order = np.argsort(together, kind="stable")
    return _Ranked(channels, order, together[order])


def _width(use: Uses) -> _Width:
    layer = use.layer
    outputs, inputs, *kernel = layer.weight.shape
    each = use.places * math.prod(kernel)
    if is_depthwise(layer):
        return _Width(outputs, 1, each, 1)
    groups = getattr(layer, "groups", 1)
    return _Width(outputs, inputs * groups, each, groups)


def _worth(ranked: _Ranked, widths: Mapping[Layer, _Width]) -> float:
    """The score of a set's next channels for each multiply-accumulate that goes with them; infinite if none may go."""
    saved = sum(widths[layer].work - width.work for layer, width in _narrower(ranked, widths).items())
    return ranked.score / saved if saved else math.inf


def _narrower(ranked: _Ranked, widths: Mapping[Layer, _Width]) -> dict[Layer, _Width]:
    """The layers that a set's next channels pass through, without them."""
    found: dict[Layer, _Width] = {}
    part = ranked.step / len(ranked.order)
    for maker in ranked.channels.makers:
        width = found.get(maker.layer, widths[maker.layer])
        found[maker.layer] = replace(width, outputs=width.outputs - part * len(maker.places))
    for reader in ranked.channels.readers:
        width = found.get(reader.layer, widths[reader.layer])
        found[reader.layer] = replace(width, inputs=width.inputs - part * len(reader.places))
    return found
