"""A worker whose model calls take 5 % longer: a candidate that is slower by a known amount."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

import bench.worker
from ftc.artifact import Artifact
from ftc.runtimes.session import Session, SessionOptions, open_session

SLOWER = 1.05


class Slowed:
    """A session that spins for a twentieth of each call's time after it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.conditions = session.conditions

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        begin = time.perf_counter_ns()
        outputs = self._session.run(inputs)
        until = begin + SLOWER * (time.perf_counter_ns() - begin)
        while time.perf_counter_ns() < until:
            pass
        return outputs


def _open(artifact: Artifact, options: SessionOptions) -> Slowed:
    return Slowed(open_session(artifact, options))


if __name__ == "__main__":
    bench.worker.open_session = _open  # type: ignore[assignment, attr-defined]
    bench.worker.main()
