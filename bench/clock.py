"""The stopwatch: how model calls are timed."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Protocol, Self, runtime_checkable

import numpy as np

from ftc.runtimes.session import Session

Clock = Callable[[], int]
"""Nanoseconds since some fixed moment, never going backwards."""

WARM_CALLS = 2
WARM_NS = 20_000_000
"""A turn begins with so many uncounted calls, or all of its calls if they are fewer, and goes on with them for so long:
the other candidates have just had the caches.

The first call of a MiniLM in INT8 (1.3 ms) takes a fifth longer than later ones, the third a tenth, the tenth 2 %.
"""

SETTLED_WITHIN = 0.02
SETTLING_CALLS = 10
SETTLING_NS = 500_000_000
"""What settling may take: longer than a turn, it would be for nothing."""


class Event(Protocol):
    """A moment in a device's work, such as `torch.cuda.Event`."""

    def record(self) -> object:
        """Put it behind the work that the device has been given."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has come to it."""
        ...

    def elapsed_time(self, end: Self) -> float:
        """Milliseconds from this moment to a later one."""
        ...


@runtime_checkable
class OnDevice(Protocol):
    """A session whose device keeps its own time."""

    def event(self) -> Event:
        """A moment that is not recorded yet."""
        ...

    def peak_device_bytes(self) -> int:
        """The most of the device's memory that was held at once."""
        ...


class EventClock:
    """A `Clock` by the device's own time: every reading waits for all the work that the device has been given.

    Each moment is taken from the one before: milliseconds come as 32-bit floats, which an hour after the first would
    tell a quarter of a millisecond apart.
    """

    def __init__(self, event: Callable[[], Event]) -> None:
        self._event, self._ns = event, 0
        self._last = self._now()

    def __call__(self) -> int:
        now = self._now()
        self._ns += round(self._last.elapsed_time(now) * 1e6)
        self._last = now
        return self._ns

    def _now(self) -> Event:
        event = self._event()
        event.record()
        event.synchronize()
        return event


def settle(session: Session, inputs: Mapping[str, np.ndarray], clock: Clock) -> int:
    """Call until ten calls take as long as the ten before, within 2 %: a GPU that was idle has its clocks down.

    :return: calls made
    """
    begin, before, calls = clock(), 0.0, 0
    while clock() - begin < SETTLING_NS:
        now = median(time_calls(session, [inputs] * SETTLING_CALLS, clock=clock))
        calls += SETTLING_CALLS
        if abs(now - before) <= SETTLED_WITHIN * now:
            break
        before = now
    return calls


def time_calls(
    session: Session,
    inputs: Sequence[Mapping[str, np.ndarray]],
    *,
    cold: bool = False,
    clock: Clock = time.perf_counter_ns,
) -> list[int]:
    """Nanoseconds of each model call, in the order of `inputs`.

    :param cold: whether others had the caches: then it is warmed up first
    """
    with uncollected():
        if cold and inputs:
            _warm_up(session, inputs, clock)
        times = []
        for tensors in inputs:
            begin = clock()
            session.run(tensors)
            times.append(clock() - begin)
    return times


def time_queries(
    session: Session,
    inputs: Sequence[Mapping[str, np.ndarray]],
    arrivals_ns: Sequence[int],
    *,
    clock: Clock = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> list[int]:
    """Nanoseconds from each query's arrival to its answer: waiting for the queries before it is part of it.

    :param arrivals_ns: when each query arrives after the first has begun, rising
    """
    times = []
    with uncollected():
        session.run(inputs[0])
        begin = clock()
        for tensors, arrival in zip(inputs, arrivals_ns, strict=True):
            early = begin + arrival - clock()
            if early > 0:
                sleep(early / 1e9)
            session.run(tensors)
            times.append(clock() - begin - arrival)
    return times


def _warm_up(session: Session, inputs: Sequence[Mapping[str, np.ndarray]], clock: Clock) -> None:
    begin = clock()
    for calls in itertools.count():
        if calls >= min(WARM_CALLS, len(inputs)) and clock() - begin >= WARM_NS:
            return
        session.run(inputs[calls % len(inputs)])


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold Python's garbage collector back, as `timeit` does: it would run within whichever call it falls on."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
