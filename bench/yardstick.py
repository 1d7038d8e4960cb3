"""Pieces of work that are always the same: how long a core takes for them now tells whether it is left alone.

Of a virtual machine nothing shows what the hardware below it does meanwhile, and that changes not only times but ratios
(`bench/README.md` has the figures):

- A core is often one of two threads of a physical core. What computes on the other slows a model that is held up by its
  arithmetic far more than one that waits for memory.
- The last-level cache is shared. Others that fill it slow a model whose weights would have fitted, not a larger one.
- The hypervisor moves cores about. Two that share such a cache at one moment may lie under two of them at the next, and
  what one has written takes the other three times as long to get. That slows short calls on several threads most.

So rounds in which this happened can be told from the others by something that is no candidate (`bench.disturbance`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from bench.cores import held_to

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

TRANSFERRED_BYTES = 256 * 2**10
"""A quarter of what a core has for itself on the machine of the figures."""

LINE_BYTES = 64

MOST_CORES = 4
"""That are read, far apart: a reading takes 0.5 ms of each, where it is slowed twice that, and a turn 70 ms."""


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
    return _Watch(read_of(cores)).read if cores is not None else Reading


def read_of(cores: Sequence[int]) -> tuple[int, ...]:
    """Those of the cores that are read."""
    return tuple(cores)[:: -(-len(cores) // MOST_CORES)]


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
