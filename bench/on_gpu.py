"""What is measured of a candidate on a GPU besides its times: the memory it holds there, and the power it draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.clock import Clock, EventClock, OnDevice
from ftc import gpu
from ftc.runtimes.session import Session

MILLIJOULES_PER_NS_IN_WATTS = 1e6


@dataclass(slots=True)
class OnGpu:
    """One process's use of the GPU.

    :param energy_mj: reads the millijoules that the GPU has taken so far; None where it does not count them
    :param spent_mj: what it took during this candidate's turns, and
    :param computed_ns: how long these were
    """

    session: Session
    energy_mj: Callable[[], int] | None
    host: Clock = time.perf_counter_ns
    spent_mj: int = 0
    computed_ns: int = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Within the block the candidate computes, and no other does."""
        if self.energy_mj is None:
            yield
            return
        energy_mj, begin_ns = self.energy_mj(), self.host()
        yield
        self.computed_ns += self.host() - begin_ns
        self.spent_mj += self.energy_mj() - energy_mj

    @property
    def peak_bytes(self) -> int | None:
        """The most memory of the GPU held at once; None where the runtime does not tell."""
        return self.session.peak_device_bytes() if isinstance(self.session, OnDevice) else None


def power_w(energy_mj: float, computed_ns: float) -> float | None:
    """The whole card's power, the mean over a candidate's turns; None where that is not known."""
    return MILLIJOULES_PER_NS_IN_WATTS * energy_mj / computed_ns if computed_ns else None


def watched(session: Session, device: str) -> tuple[Clock, OnGpu | None]:
    """The clock that a session is timed with, and what else is measured of it; nothing else on the CPU.

    ONNX Runtime's calls end when their answers have arrived on the host: the host's clock says how long they took.
    """
    if device == "cpu":
        return time.perf_counter_ns, None
    clock = EventClock(session.event) if isinstance(session, OnDevice) else time.perf_counter_ns
    return clock, OnGpu(session, gpu.energy_meter(gpu.chosen().uuid))
