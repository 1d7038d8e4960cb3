"""The stopwatch: how a model call is timed, and when a process counts as at rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

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
    for _ in range(min(warm, len(inputs))):
        session.run(inputs[0])
    times = []
    for tensors in inputs:
        begin = clock()
        session.run(tensors)
        times.append(clock() - begin)
    return times


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
