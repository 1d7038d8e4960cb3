"""The stopwatch: how model calls are timed, and when a process counts as at rest."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from ftc.runtimes.session import Session

Clock = Callable[[], int]
"""Nanoseconds since some fixed moment, never going backwards."""

WARM_CALLS = 2
"""Uncounted calls at the start of a turn: the other candidates have just had the caches."""

REST_WINDOW_S = 0.005
REST_SHARE = 0.2
REST_LIMIT_S = 0.3


def time_calls(
    session: Session,
    inputs: Sequence[Mapping[str, np.ndarray]],
    *,
    warm: int = 0,
    clock: Clock = time.perf_counter_ns,
) -> list[int]:
    """Nanoseconds of each model call, in the order of `inputs`.

    :param warm: calls of the first input beforehand that are not counted
    """
    with uncollected():
        for _ in range(min(warm, len(inputs))):
            session.run(inputs[0])
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


def rest() -> None:
    """Wait until this process has stopped computing.

    Thread pools go on spinning after their last call (ONNX Runtime's for about 25 ms of processor time) and
    would slow down whichever candidate is next.
    """
    for _ in range(int(REST_LIMIT_S / REST_WINDOW_S)):
        wall, used = time.perf_counter(), time.process_time()
        time.sleep(REST_WINDOW_S)
        if time.process_time() - used < REST_SHARE * (time.perf_counter() - wall):
            return
