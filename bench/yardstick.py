"""Pieces of work that are always the same: how long a core takes for them now tells whether it is left alone.

A virtual machine's core is often one of two threads of a physical core, and its last-level cache one that others use,
and nothing in the machine shows what they do. A neighbour slows a model that is held up by its arithmetic far more than
one that waits for memory; a cache that others fill slows a model whose weights would have fitted into it, and not one
that is larger anyway. So both change ratios, too (`bench/README.md` has the figures). So rounds in which a core was
slowed are told from the others, by something that is no candidate, and ratios come from the others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from ftc.measurement import Run, Turn

STEPS = 4000
"""Of a loop: a tenth of a millisecond, in which a core with a neighbour shows what it lacks as in a second."""

TRIES = 3
"""The quickest counts, so that being pushed off the core by another process for once is not taken for a slow core."""

WALKED_BYTES = 8 * 2**20
"""Of memory, in random order: more than what a core has for itself, and as much as INT8 weights of small models."""

PASSES = 8
"""Through them, of which the quickest counts: after four all is in the cache if that has room, under strain later."""

WALK_SHARE = 0.0025
"""Of the time, for walks, which take 3 ms and more of each core: a cache that others fill stays so for minutes."""

MOST_CORES = 8
"""That are read, far apart: a reading takes 0.3 ms, where the core is slowed twice that, and a turn 70 ms or more."""

CLEAR = 10
"""Percentile of a core's readings in a run that it has when nothing slows it."""

SLOWED = 1.4
"""Times as long. A neighbour makes the loop take 1.8 to 1.9 times as long, without one it takes 1.15 at the most."""

LEAST_CLEAR = 10
"""Rounds that nothing disturbed, for ratios to come from them alone."""

UNLIKE = 1.25
"""Times as long, of what is typical of undisturbed rounds: by chance it differs by 7 % from one run to the next."""

LINE_BYTES = 64

Kind = Literal["cores", "caches"]
KINDS: tuple[Kind, ...] = ("cores", "caches")


@dataclass(frozen=True, slots=True)
class Reading:
    """Nanoseconds that each of the cores took; nothing where they could not be read.

    :param core_ns: for the loop
    :param cache_ns: for the walk, the last time that there was one
    """

    core_ns: tuple[int, ...] = ()
    cache_ns: tuple[int, ...] = ()


def watch(cores: Sequence[int] | None) -> Callable[[], Reading]:
    """What reads how fast these cores are, one after another; of cores that cannot be chosen, nothing."""
    if cores is None:
        return Reading
    return _Watch(tuple(cores)[:: -(-len(cores) // MOST_CORES)]).read


@dataclass(slots=True)
class _Watch:
    """Reads the cores whenever it is asked, and their caches as often as `WALK_SHARE` allows."""

    cores: Sequence[int]
    clock: Callable[[], int] = time.perf_counter_ns
    _cache_ns: tuple[int, ...] = ()
    _due_ns: float = 0.0

    def read(self) -> Reading:
        try:
            if (began_ns := self.clock()) >= self._due_ns:
                self._cache_ns = _on_each(self.cores, _walk_ns, PASSES)
                ended_ns = self.clock()
                self._due_ns = ended_ns + (ended_ns - began_ns) / WALK_SHARE
            return Reading(_on_each(self.cores, _loop_ns, TRIES), self._cache_ns)
        except OSError:  # the system has taken a core away meanwhile; what runs there will say so
            return Reading()


def slower(before: Reading, after: Reading) -> Reading:
    """Of two readings around a turn, what was worse for each core; nothing where one of them could not be made."""
    return Reading(
        tuple(map(max, before.core_ns, after.core_ns)),
        tuple(map(max, before.cache_ns, after.cache_ns)),
    )


def slowed(turns: Iterable[tuple[str, Turn]]) -> frozenset[tuple[str, int]]:
    """The turns around which a core, or its cache, was slower than when nothing disturbs it.

    :param turns: those of a run, each with its candidate's id
    :return: these ids and the numbers of the rounds
    """
    known = [(id, turn) for id, turn in turns if turn.core_ns]
    if not known:
        return frozenset()
    are_slow = slowness([turn for _, turn in known]) > SLOWED
    return frozenset((known[place][0], known[place][1].round) for place in np.flatnonzero(are_slow))


def slowness(turns: Sequence[Turn]) -> np.ndarray:
    """How many times as long the slowest core took around each of the turns, (turns,), as when nothing disturbs it.

    :param turns: at least one, all with readings
    """
    worst: np.ndarray = np.max([(of / np.percentile(of, CLEAR, axis=0)).max(axis=1) for of in _kinds(turns)], axis=0)
    return worst


def kinds(run: Run) -> tuple[Kind, ...]:
    """What all turns of a run that were looked at have readings of."""
    return KINDS[: len(_kinds(_read_turns(run)))]


def clear_ns(run: Run) -> dict[Kind, float]:
    """What each kind of work takes the slowest core around a typical turn that nothing disturbs."""
    turns = _read_turns(run)
    if not turns:
        return {}
    are_clear = slowness(turns) <= SLOWED
    return {kind: float(np.median(of[are_clear], axis=0).max()) for kind, of in zip(KINDS, _kinds(turns), strict=False)}


def differences(then: Run, now: Run) -> tuple[str, ...]:
    """What to say of two runs whose undisturbed cores, or caches, were not as fast, as far as both tell it."""
    before, after = clear_ns(then), clear_ns(now)
    return tuple(
        f"speed of the {kind}: {before[kind] / 1e6:.2f} ms for a fixed piece of work then, {after[kind] / 1e6:.2f} ms "
        "now; measure both again, side by side"
        for kind in KINDS
        if kind in before and kind in after
        if max(before[kind], after[kind]) > UNLIKE * min(before[kind], after[kind])
    )


def _read_turns(run: Run) -> list[Turn]:
    return [turn for known in run.measurements for turn in known.turns if turn.core_ns]


def _kinds(turns: Sequence[Turn]) -> list[np.ndarray]:
    """Of each kind that all of the turns have, the readings, (turns, cores)."""
    read = [[turn.core_ns for turn in turns], [turn.cache_ns for turn in turns]]
    return [np.array(of, np.float64) for of in read if of and all(of)]


def _on_each(cores: Sequence[int], work_ns: Callable[[], int], times: int) -> tuple[int, ...]:
    """The least that the work took each of the cores."""
    before = os.sched_getaffinity(0)
    try:
        return tuple(_on(core, work_ns, times) for core in cores)
    finally:
        os.sched_setaffinity(0, before)


def _on(core: int, work_ns: Callable[[], int], times: int) -> int:
    os.sched_setaffinity(0, (core,))
    return min(work_ns() for _ in range(times))


def _loop_ns() -> int:
    begin, total = time.perf_counter_ns(), 0
    for step in range(STEPS):
        total += step * step
    return time.perf_counter_ns() - begin


def _walk_ns() -> int:
    memory, places, found = _ground()
    begin = time.perf_counter_ns()
    np.take(memory, places, out=found, mode="clip")  # the default mode goes through a copy
    return time.perf_counter_ns() - begin


@cache
def _ground() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Memory to walk through, where in it each step goes, one to a line of the cache, and where what is found goes."""
    lines = WALKED_BYTES // LINE_BYTES
    each = LINE_BYTES // np.dtype(np.int64).itemsize
    places = np.random.default_rng(0).permutation(lines) * each
    return np.ones(lines * each, np.int64), places, np.empty(lines, np.int64)
