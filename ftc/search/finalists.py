"""Which candidates come to the final measurement, by what judging and short timings told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

SLOTS = 4
"""For any candidate; two more are for those that needed no training, so that these are always among them.

Short timings made minutes apart mislead: on a restless machine a pruned MiniLM was timed at 3.6x, and the whole one,
earlier, at 3.7x.
"""

_PLAIN = 2

MOST = SLOTS + _PLAIN
"""Finalists, if none that needed no training is among the best."""


class Hope(IntEnum):
    """What the rows that judge leave to hope for.

    GOOD is inside the accuracy budget and the limits, SOME over the budget by no more than these rows may mislead.
    """

    GOOD = 0
    SOME = 1
    NONE = 2


@dataclass(frozen=True, slots=True)
class Contender:
    """A candidate that was judged and timed.

    :param merit: what is sought most of: speed, or for size bytes below 0
    :param is_plain: whether it needed no training and no pruning
    :param behind: why others come before it, if they do
    """

    key: str
    merit: float
    hope: Hope
    is_plain: bool
    behind: str


def chosen(contenders: Sequence[Contender]) -> tuple[str, ...]:
    """Keys of the best: those of good hope first, with a slot for the best of all; of no hope, where all are so."""
    ranked = sorted(contenders, key=lambda one: (one.hope, -one.merit))
    hopeful = [one for one in ranked if one.hope is not Hope.NONE] or ranked
    boldest = [max(hopeful, key=lambda one: one.merit)] if hopeful else []
    best = list(dict.fromkeys([*hopeful[: SLOTS - 1], *boldest, *hopeful]))[:SLOTS]
    plain = [one for one in ranked if one.is_plain][:_PLAIN]
    return tuple(one.key for one in dict.fromkeys([*best, *plain]))
