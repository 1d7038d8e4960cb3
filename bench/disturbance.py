"""Which turns of a run were disturbed from outside, by what the yardstick read around them: ratios come from others.

What a reading is, and what it tells of the hardware, stands in `bench.yardstick`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from ftc.measurement import Run, Turn

Kind = Literal["arithmetic", "cache", "transfers"]
KINDS: tuple[Kind, ...] = ("arithmetic", "cache", "transfers")
"""`Turn.core_ns`, `Turn.cache_ns` and `Turn.transfer_ns`."""

CLEAR = 10
"""Percentile of a core's readings in a run that it has when nothing slows it."""

SLOWED: Mapping[Kind, float] = {"arithmetic": 1.4, "cache": 1.4, "transfers": 2.5}
"""Times as long. A neighbour makes loops take 1.8 to 1.9 times as long, without one it is 1.15 at the most. Others in
the cache make walks take 1.5 to 4 times as long, without them 19 of 20 are below 1.4. Transfers between two caches take
3.3 times as long as within one, where 99 of 100 are below 2.5."""

LEAST_CLEAR = 10
"""Rounds that nothing disturbed, for ratios to come from them alone."""

UNLIKE = 1.25
"""Times as long, of what is typical of undisturbed rounds: by chance it differs by 7 % from one run to the next."""

LEAST_WALKS = 5
"""Of a run, to tell anything by them."""


def slowed(turns: Iterable[tuple[str, Turn]], kinds: Collection[Kind] = KINDS) -> frozenset[tuple[str, int]]:
    """The turns around which a core was slower, in any of these ways, than when nothing disturbs it.

    :param turns: those of a run, each with its candidate's id
    :return: these ids and the numbers of the rounds
    """
    known = [(id, turn) for id, turn in turns if turn.core_ns]
    are_slow = _are_slow([turn for _, turn in known], kinds)
    return frozenset((known[place][0], known[place][1].round) for place in np.flatnonzero(are_slow))


def slowness(turns: Sequence[Turn]) -> dict[Kind, np.ndarray]:
    """For each kind how many times as long the slowest core took around each of the turns as when nothing disturbs it.

    :param turns: those of a run that have readings
    :return: (turns,), NaN for a turn without readings of that kind
    """
    return {kind: (of / _clear_ns(of)).max(axis=1) for kind, of in _readings(turns).items()}


def told(run: Run) -> tuple[Kind, ...]:
    """What a run has enough readings of."""
    return tuple(_readings(_read_turns(run)))


def typical_ns(run: Run) -> dict[Kind, float]:
    """What each kind of work typically takes the slowest core while nothing slows it at that."""
    typical = {}
    for kind, of in _readings(_read_turns(run)).items():
        undisturbed = np.where(of <= SLOWED[kind] * _clear_ns(of), of, np.nan)
        typical[kind] = float(np.nanmedian(undisturbed, axis=0).max())
    return typical


def differences(then: Run, now: Run) -> tuple[str, ...]:
    """What to say of two runs whose cores were not as fast when nothing disturbed them, as far as both tell it."""
    before, after = typical_ns(then), typical_ns(now)
    return tuple(
        f"speed of the cores ({kind}): {before[kind] / 1e6:.3g} ms for a fixed piece of work then, "
        f"{after[kind] / 1e6:.3g} ms now; measure both again, side by side"
        for kind in KINDS
        if kind in before and kind in after
        if max(before[kind], after[kind]) > UNLIKE * min(before[kind], after[kind])
    )


def _are_slow(turns: Sequence[Turn], kinds: Collection[Kind]) -> np.ndarray:
    are_slow = np.zeros(len(turns), bool)
    for kind, times in slowness(turns).items():
        if kind in kinds:
            are_slow |= times > SLOWED[kind]
    return are_slow


def _read_turns(run: Run) -> list[Turn]:
    return [turn for known in run.measurements for turn in known.turns if turn.core_ns]


def _clear_ns(readings: np.ndarray) -> np.ndarray:
    """What each core takes when nothing disturbs it: (turns, cores) in, (cores,) out."""
    clear: np.ndarray = np.nanpercentile(readings, CLEAR, axis=0)
    return clear


def _readings(turns: Sequence[Turn]) -> dict[Kind, np.ndarray]:
    """Of each kind of which there are enough, (turns, cores), NaN where a turn of an earlier version has none."""
    read: dict[Kind, list[tuple[int, ...]]] = {
        "arithmetic": [turn.core_ns for turn in turns],
        "cache": [turn.cache_ns for turn in turns],
        "transfers": [turn.transfer_ns for turn in turns],
    }
    if len({walked for walked in read["cache"] if walked}) < LEAST_WALKS:
        del read["cache"]
    cores = {kind: max(map(len, of), default=0) for kind, of in read.items()}
    return {
        kind: np.array([known or (np.nan,) * cores[kind] for known in of], np.float64)
        for kind, of in read.items()
        if cores[kind]
    }
