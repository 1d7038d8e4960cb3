"""A piece of work that is always the same: how long a core takes for it now tells whether it has the core to itself.

A virtual machine's core is often one of two threads of a physical core, and nothing in the machine shows what computes
on the other one. It slows a model that is held up by its arithmetic far more than one that waits for memory, so that it
changes ratios, too (`bench/README.md` has the figures). So rounds in which a core was slowed are told from the others,
by something that is no candidate, and ratios come from the others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ftc.measurement import Run, Turn

STEPS = 4000
"""Of a loop: a tenth of a millisecond, in which a core with a neighbour shows what it lacks as in a second."""

TRIES = 3
"""The quickest counts, so that being pushed off the core by another process for once is not taken for a slow core."""

MOST_CORES = 8
"""That are read, far apart: a reading takes 0.3 ms, where the core is slowed twice that, and a turn 70 ms or more."""

CLEAR = 10
"""Percentile of a core's readings in a run that it has when nothing slows it."""

SLOWED = 1.4
"""Times as long. A neighbour makes it 1.8 to 1.9 times, without one it is 1.15 at the most."""

LEAST_CLEAR = 10
"""Rounds that nothing disturbed, for ratios to come from them alone."""

Reading = tuple[int, ...]
"""Nanoseconds that each of the cores took."""


def watch(cores: Sequence[int] | None) -> Callable[[], Reading]:
    """What reads how fast these cores are, one after another; of cores that cannot be chosen, nothing."""
    if cores is None:
        return tuple
    few = tuple(cores)[:: -(-len(cores) // MOST_CORES)]
    return lambda: _read(few)


def slower(before: Reading, after: Reading) -> Reading:
    """Of two readings around a turn, what was worse for each core; nothing where one of them could not be made."""
    return tuple(map(max, before, after))


def slowed(turns: Iterable[tuple[str, Turn]]) -> frozenset[tuple[str, int]]:
    """The turns just before or after which a core was slower than when nothing disturbs it.

    :param turns: those of a run, each with its candidate's id
    :return: these ids and the numbers of the rounds
    """
    known = [(id, turn) for id, turn in turns if turn.core_ns]
    if not known:
        return frozenset()
    are_slow = slowness([turn for _, turn in known]) > SLOWED
    return frozenset((known[place][0], known[place][1].round) for place in np.flatnonzero(are_slow))


def slowness(turns: Sequence[Turn]) -> np.ndarray:
    """How many times as long the slowest core took around each of the turns, (turns,), as when nothing disturbs it."""
    readings = _readings(turns)
    worst: np.ndarray = (readings / _clear_ns(readings)).max(axis=1)
    return worst


def difference(then: Run, now: Run) -> str | None:
    """What to say of two runs in which undisturbed cores were not as fast; None where they were, or it is not known."""
    clear_ns = []
    for run in (then, now):
        turns = [turn for known in run.measurements for turn in known.turns if turn.core_ns]
        if not turns:
            return None
        clear_ns.append(float(_clear_ns(_readings(turns)).max()))
    if max(clear_ns) <= SLOWED * min(clear_ns):
        return None
    before, after = (f"{ns / 1e6:.2f} ms" for ns in clear_ns)
    return f"speed of the cores: {before} for a fixed piece of work then, {after} now; measure both again, side by side"


def _readings(turns: Sequence[Turn]) -> np.ndarray:
    return np.array([turn.core_ns for turn in turns], np.float64)  # (turns, cores)


def _clear_ns(readings: np.ndarray) -> np.ndarray:
    """What each core takes when nothing disturbs it: (turns, cores) in, (cores,) out."""
    clear: np.ndarray = np.percentile(readings, CLEAR, axis=0)
    return clear


def _read(cores: Sequence[int]) -> Reading:
    try:
        before = os.sched_getaffinity(0)
        try:
            return tuple(_work_ns(core) for core in cores)
        finally:
            os.sched_setaffinity(0, before)
    except OSError:  # the system has taken a core away meanwhile; what runs there will say so
        return ()


def _work_ns(core: int) -> int:
    os.sched_setaffinity(0, (core,))
    return min(_loop_ns() for _ in range(TRIES))


def _loop_ns() -> int:
    begin, total = time.perf_counter_ns(), 0
    for step in range(STEPS):
        total += step * step
    return time.perf_counter_ns() - begin
