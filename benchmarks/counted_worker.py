"""A worker that notes when its model was at work: when it was loaded, and every call, counted by the harness or not."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import bench.worker
from ftc.artifact import Artifact
from ftc.runtimes.session import Session, SessionOptions, open_session

FILE = "COUNTED_IN"
"""The environment's name for the file to which every process appends two 64-bit integers for each: begin and end."""


class Counted:
    """A session whose calls are noted."""

    def __init__(self, session: Session, note: Callable[[int], None]) -> None:
        self._session, self._note = session, note
        self.conditions = session.conditions

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        begin = time.perf_counter_ns()
        outputs = self._session.run(inputs)
        self._note(begin)
        return outputs


def _open(artifact: Artifact, options: SessionOptions) -> Counted:
    begin = time.perf_counter_ns()
    place = os.open(os.environ[FILE], os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def note(begin: int) -> None:
        os.write(place, struct.pack("qq", begin, time.perf_counter_ns()))  # the process may be killed at any moment

    session = open_session(artifact, options)
    note(begin)
    return Counted(session, note)


def at_work_ns(file: Path) -> int:
    """How long any of the processes' models was at work; where several were, it counts once."""
    total = until = 0
    for begin, end in sorted(struct.iter_unpack("qq", file.read_bytes())):  # one clock for all processes
        total += max(0, end - max(begin, until))
        until = max(until, end)
    return total


if __name__ == "__main__":
    bench.worker.open_session = _open  # type: ignore[assignment, attr-defined]
    bench.worker.main()
