"""A piece of work that is always the same: how long a core takes for it now tells whether it has the core to itself.

A virtual machine's core is often one of two threads of a physical core, and nothing in the machine shows what computes
on the other one. It slows a model that is held up by its arithmetic far more than one that waits for memory, so that it
changes ratios, too: MiniLM was 3.2 times as fast in INT8 as in float in rounds that had a neighbour, and 3.6 times in
the others; speeds of its checkpoint spread by 16 % and by 5 % (benchmarks/neighbours.py). So such rounds are told from
the others, by something that is no candidate, and ratios come from the others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from ftc.measurement import Run, Turn

STEPS = 4000
"""Of a loop: a tenth of a millisecond, in which a core with a neighbour shows what it lacks as in a second."""

TRIES = 3
"""The quickest counts: what this machine itself puts in between is no neighbour's doing."""

MOST_CORES = 8
"""That are looked at, far apart: between two turns there is a millisecond or two for it."""

USUAL = 10
"""Percentile of a core's readings in a run that it has when nothing slows it."""

SLOWED = 1.4
"""Times as long as usual. A neighbour makes it 1.8 to 1.9 times, without one it is 1.15 at the most."""

LEAST_SHARE = 0.2
"""Of the rounds: if fewer were undisturbed, what disturbs is how this machine is, and all of them count."""

LEAST_ROUNDS = 10
"""The same, in rounds."""

Reading = tuple[int, ...]
"""Nanoseconds that each of the cores took."""


def watch(cores: Sequence[int] | None) -> Callable[[], Reading]:
    """What reads how fast these cores are, one after another; of cores that cannot be chosen, nothing."""
    if cores is None:
        return tuple
    few = tuple(cores)[:: -(-len(cores) // MOST_CORES)]
    return lambda: _read(few)


def slower(before: Reading, after: Reading) -> Reading:
    """Of two readings around a turn, what was worse for each core."""
    return tuple(map(max, before, after))


def slowed(turns: Iterable[tuple[str, Turn]]) -> frozenset[tuple[str, int]]:
    """The turns of a run during which a core was slower than it usually is.

    :param turns: each with the candidate's id
    :return: these ids and the numbers of the rounds
    """
    known = [(name, turn) for name, turn in turns if turn.core_ns]
    if not known:
        return frozenset()
    readings = np.array([turn.core_ns for _, turn in known], np.float64)  # (turns, cores)
    are_slow = (readings > SLOWED * _usual_ns(readings)).any(axis=1)  # (turns,)
    return frozenset((known[place][0], known[place][1].round) for place in np.flatnonzero(are_slow))


def undisturbed(rounds: Collection[int], disturbed: Collection[int]) -> tuple[int, ...]:
    """The rounds that count: those that were not disturbed, or all of them where too few were not."""
    rest = tuple(sorted(set(rounds).difference(disturbed)))
    return rest if len(rest) >= max(LEAST_ROUNDS, LEAST_SHARE * len(rounds)) else tuple(sorted(rounds))


def difference(then: Run, now: Run) -> str | None:
    """What to say of two runs in which the cores were not usually as fast; None where they were, or it is not known."""
    usual_ns = []
    for run in (then, now):
        readings = [turn.core_ns for known in run.measurements for turn in known.turns if turn.core_ns]
        if not readings:
            return None
        usual_ns.append(float(_usual_ns(np.array(readings, np.float64)).max()))
    if max(usual_ns) <= SLOWED * min(usual_ns):
        return None
    before, after = (f"{ns / 1e6:.2f} ms" for ns in usual_ns)
    return f"speed of the cores: {before} for a fixed piece of work then, {after} now"


def _usual_ns(readings: np.ndarray) -> np.ndarray:
    """What each core takes when nothing slows it: (turns, cores) in, (cores,) out."""
    usual: np.ndarray = np.percentile(readings, USUAL, axis=0)
    return usual


def _read(cores: Sequence[int]) -> Reading:
    before = os.sched_getaffinity(0)
    try:
        return tuple(_work_ns(core) for core in cores)
    finally:
        os.sched_setaffinity(0, before)


def _work_ns(core: int) -> int:
    os.sched_setaffinity(0, (core,))
    return min(_loop_ns() for _ in range(TRIES))


def _loop_ns() -> int:
    begin, total = time.perf_counter_ns(), 0
    for step in range(STEPS):
        total += step * step
    return time.perf_counter_ns() - begin
