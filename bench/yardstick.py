"""Pieces of work that are always the same: how long a core takes for them now tells whether it is left alone.

Of a virtual machine nothing shows what the hardware below it does meanwhile, and that changes not only times but ratios
(`bench/README.md` has the figures):

- A core is often one of two threads of a physical core. What computes on the other slows a model that is held up by its
  arithmetic far more than one that waits for memory.
- The last-level cache is shared. Others that fill it slow a model whose weights would have fitted, not a larger one.
- The hypervisor moves cores about. Two that share such a cache at one moment may lie under two of them at the next, and
  what one has written takes the other three times as long to get. That slows short calls on several threads most.

So rounds in which this happened are told from the others, by something that is no candidate, and ratios come from the
others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np

from bench.cores import held_to
from ftc.measurement import Run, Turn

Kind = Literal["arithmetic", "cache", "transfers"]
KINDS: tuple[Kind, ...] = ("arithmetic", "cache", "transfers")
"""What of a core is read: a loop, a walk through more memory than its own caches hold, and a walk through what another
core has just written."""

STEPS = 4000
"""Of a loop: a tenth of a millisecond, in which a core with a neighbour shows what it lacks as in a second."""

TRIES = 3
"""The quickest counts, so that being pushed off the core by another process for once is not taken for a slow core."""

WALKED_BYTES = 8 * 2**20
"""As much as the INT8 weights of small models. Of 12 MiB on a machine that shows 32 MiB of cache, part was missing."""

PASSES = 8
"""Through them, of which the quickest counts: after four all is in the cache if that has room, under strain later."""

WALK_SHARE = 0.0025
"""Of the time, for these walks, which take 3 ms and more: a cache that others fill stays so for minutes."""

LEAST_WALKS = 5
"""Of a run, to tell anything by them."""

TRANSFERRED_BYTES = 256 * 2**10
"""A quarter of what a core has for itself on the machine of the figures."""

LINE_BYTES = 64

MOST_CORES = 4
"""That are read, far apart: a reading takes 0.5 ms of each, where it is slowed twice that, and a turn 70 ms."""

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


@dataclass(frozen=True, slots=True)
class Reading:
    """Nanoseconds that each of the cores took; nothing where they could not be read.

    :param core_ns: for the loop
    :param cache_ns: for the walk through much memory, the last time that there was one
    :param transfer_ns: for the walk through what the core before it had written, the first after the last; nothing
        where there is one core
    """

    core_ns: tuple[int, ...] = ()
    cache_ns: tuple[int, ...] = ()
    transfer_ns: tuple[int, ...] = ()


def watch(cores: Sequence[int] | None) -> Callable[[], Reading]:
    """What reads how fast these cores are, one after another; of cores that cannot be chosen, nothing."""
    if cores is None:
        return Reading
    return _Watch(tuple(cores)[:: -(-len(cores) // MOST_CORES)]).read


@dataclass(slots=True)
class _Watch:
    """Reads the cores whenever it is asked, and their caches in turn, as often as `WALK_SHARE` allows."""

    cores: Sequence[int]
    clock: Callable[[], int] = time.perf_counter_ns
    _cache_ns: dict[int, int] = field(default_factory=dict)
    _due_ns: float = 0.0

    def read(self) -> Reading:
        try:
            with held_to(self.cores):
                self._walk()
                loops = tuple(_on(core, _loop_ns, TRIES) for core in self.cores)
                return Reading(loops, tuple(self._cache_ns[core] for core in self.cores), _transfers(self.cores))
        except OSError:  # the system has taken a core away meanwhile; what runs there will say so
            return Reading()

    def _walk(self) -> None:
        """Read one core's cache if it is time, of those never read all."""
        new = [core for core in self.cores if core not in self._cache_ns]
        if not new and self.clock() < self._due_ns:
            return
        for core in new or list(self._cache_ns)[:1]:
            self._cache_ns.pop(core, None)  # so that it is the last in line again
            began_ns = self.clock()
            self._cache_ns[core] = _on(core, _walk_ns, PASSES)
            ended_ns = self.clock()
            self._due_ns = ended_ns + (ended_ns - began_ns) / WALK_SHARE


def slower(before: Reading, after: Reading) -> Reading:
    """Of two readings around a turn, what was worse for each core; nothing where one of them could not be made."""
    return Reading(
        tuple(map(max, before.core_ns, after.core_ns)),
        tuple(map(max, before.cache_ns, after.cache_ns)),
        tuple(map(max, before.transfer_ns, after.transfer_ns)),
    )


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
    :return: of what all turns tell, (turns,)
    """
    return {kind: (of / np.percentile(of, CLEAR, axis=0)).max(axis=1) for kind, of in _readings(turns).items()}


def told(run: Run) -> tuple[Kind, ...]:
    """What all turns of a run that were looked at have readings of."""
    return tuple(_readings(_read_turns(run)))


def typical_ns(run: Run) -> dict[Kind, float]:
    """What each kind of work takes the slowest core around a typical undisturbed turn; if there is none, around any."""
    turns = _read_turns(run)
    counted = ~_are_slow(turns, KINDS)
    if not counted.any():
        counted[:] = True
    return {kind: float(np.median(of[counted], axis=0).max()) for kind, of in _readings(turns).items()}


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


def _readings(turns: Sequence[Turn]) -> dict[Kind, np.ndarray]:
    """Of each kind that all of the turns have, (turns, cores)."""
    read: dict[Kind, list[tuple[int, ...]]] = {
        "arithmetic": [turn.core_ns for turn in turns],
        "cache": [turn.cache_ns for turn in turns],
        "transfers": [turn.transfer_ns for turn in turns],
    }
    if len(set(read["cache"])) < LEAST_WALKS:
        del read["cache"]
    return {kind: np.array(of, np.float64) for kind, of in read.items() if of and all(of)}


def _on(core: int, work_ns: Callable[[], int], times: int) -> int:
    """The least that the work took this core."""
    os.sched_setaffinity(0, (core,))
    return min(work_ns() for _ in range(times))


def _loop_ns() -> int:
    begin, total = time.perf_counter_ns(), 0
    for step in range(STEPS):
        total += step * step
    return time.perf_counter_ns() - begin


def _walk_ns(memory_bytes: int = WALKED_BYTES) -> int:
    memory, places, found = _ground(memory_bytes)
    begin = time.perf_counter_ns()
    np.take(memory, places, out=found, mode="clip")  # the default mode goes through a copy
    return time.perf_counter_ns() - begin


def _transfers(cores: Sequence[int]) -> tuple[int, ...]:
    """The least that it took each core to walk through what the one before it had just written."""
    if len(cores) < 2:
        return ()
    memory, _, _ = _ground(TRANSFERRED_BYTES)
    laps = []
    for _ in range(TRIES):
        lap = []
        for core in cores:
            lap.append(_on(core, lambda: _walk_ns(TRANSFERRED_BYTES), 1))
            memory += 1
        laps.append(lap)
    return tuple(map(min, *laps))


@cache
def _ground(memory_bytes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Memory to walk through, where in it each step goes, one to a line of the cache, and where what is found goes."""
    lines = memory_bytes // LINE_BYTES
    each = LINE_BYTES // np.dtype(np.int64).itemsize
    places = np.random.default_rng(0).permutation(lines) * each
    return np.ones(lines * each, np.int64), places, np.empty(lines, np.int64)
