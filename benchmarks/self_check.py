"""How often `ftc bench` calls a file different from itself, every other time with other work on one core.

python benchmarks/self_check.py ARTIFACT --data ROWS [--runs 40] [--time-budget 30]
"""

from __future__ import annotations

import os
import time

from bench_runs import arguments, hog, pair


def main() -> None:
    given = arguments(__doc__, runs=40, budget_s=30)
    cores = sorted(os.sched_getaffinity(0))
    different = 0
    for number in range(given.runs):
        hogged = cores[-1] if number % 2 else None
        begin = time.perf_counter()
        with hog(hogged):
            board = pair(given, seed=number)
        check = board.self_check
        assert check is not None
        different += check.passed is False
        ratio = check.ratio
        rounds = board.standings[0].rounds
        said = f"{ratio.value:.3f} ({ratio.low:.3f}-{ratio.high:.3f})" if ratio is not None else "not compared"
        load = f"{board.conditions.machine.busy_cores:.1f} cores busy before"
        print(
            f"{number:3d} {'hog  ' if number % 2 else 'alone'} {said} {rounds} rounds, "
            f"{time.perf_counter() - begin:.0f} s, {load}{'  DIFFERENT' if check.passed is False else ''}",
            flush=True,
        )
    print(f"{different} of {given.runs} pairs of the same file were called different")


if __name__ == "__main__":
    main()
