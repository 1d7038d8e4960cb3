"""Which cores the candidates are held to: the same ones for each, as many as it has threads."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from ftc.machine import text_of

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
_WATCHED_S = 0.3
_STEP_PERCENT = 25
"""Cores are as busy as each other within this: a moment's chance should not choose between them."""


def choose(threads: int) -> tuple[int, ...] | None:
    """As many of the cores that this process may use as there are threads, or all; None where that cannot be set.

    One of each pair that shares a physical core comes first, then those that other work leaves idle.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if threads >= len(allowed):
        return tuple(allowed)
    busy = dict(enumerate(psutil.cpu_percent(interval=_WATCHED_S, percpu=True)))
    physical: dict[str, int] = {}
    places = {}
    for core in allowed:
        siblings = text_of(Path(_TOPOLOGY.format(core))) or str(core)
        places[core] = physical[siblings] = physical.get(siblings, -1) + 1
    ranked = sorted(allowed, key=lambda core: (places[core], busy.get(core, 0.0) // _STEP_PERCENT, core))
    return tuple(sorted(ranked[:threads]))


def lost(cores: Sequence[int] | None) -> tuple[int, ...]:
    """Those of the cores that this process may not use, to which nothing that it starts could be held."""
    if cores is None or not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted({*cores} - os.sched_getaffinity(0)))


@contextmanager
def held_to(cores: Sequence[int] | None) -> Iterator[None]:
    """Within the block, processes that this thread starts are held to these cores from their first instruction on.

    A process that holds itself later would leave the threads alone that its libraries have started already.
    """
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def scatter() -> None:
    """Spread this process's threads over its cores anew, by chance, and leave them free to move from there.

    Where no core is idle, the system leaves threads where they were: two that once fell on the same core stay there
    round after round, and the candidate looks slow for as long. Chance in every turn makes rounds independent: with
    twelve processes waiting for two cores, ratios of a file to itself spread over rounds by 0.13 instead of 0.20, and
    quarters of a run lay within 0.05 of 1 instead of 0.19.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    tasks = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    random.shuffle(tasks)
    start = random.randrange(len(cores))
    for where in ([cores[(start + place) % len(cores)]] for place in range(len(tasks))), [cores] * len(tasks):
        for task, allowed in zip(tasks, where, strict=True):
            with contextlib.suppress(ProcessLookupError):  # a thread that has ended since
                os.sched_setaffinity(task, allowed)
