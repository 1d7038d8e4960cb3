"""A worker that times a turn with nothing but a loop: what the harness's stopwatch is compared with."""

from __future__ import annotations

import time
from collections.abc import Sequence

import bench.worker
from bench.clock import WARM_CALLS, WARM_NS


class Bare(bench.worker.Subject):
    """A warm-up as long as the harness's, a loop, two readings of the clock around each call."""

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        times = []
        for place, (cell, order) in enumerate(zip(self._cells, picks, strict=True)):
            inputs = [cell[index] for index in order]
            run = self._session.run
            begin, warmed = time.perf_counter_ns(), 0
            while not place and (warmed < WARM_CALLS or time.perf_counter_ns() - begin < WARM_NS):
                run(inputs[warmed % len(inputs)])
                warmed += 1
            taken = []
            for tensors in inputs:
                begin = time.perf_counter_ns()
                run(tensors)
                taken.append(time.perf_counter_ns() - begin)
            times.append(taken)
        return times


if __name__ == "__main__":
    bench.worker.Subject = Bare  # type: ignore[misc]
    bench.worker.main()
