"""How often `ftc bench` finds that a candidate is 5 % slower than its twin, and whether it ever says the opposite.

python benchmarks/slower_twin.py ARTIFACT --data ROWS [--runs 20] [--time-budget 60]
"""

from __future__ import annotations

import time

from bench_runs import arguments, pair


def main() -> None:
    given = arguments(__doc__, runs=20, budget_s=60)
    found = wrong = 0
    for number in range(given.runs):
        begin = time.perf_counter()
        board = pair(given, seed=number, module="benchmarks.slowed_worker")
        check = board.self_check
        assert check is not None
        ratio = check.ratio
        assert ratio is not None, "enough rounds"
        found += ratio.is_slower
        wrong += ratio.is_faster
        verdict = "found" if ratio.is_slower else "WRONG" if ratio.is_faster else "not shown"
        print(
            f"{number:3d} {ratio.value:.3f} ({ratio.low:.3f}-{ratio.high:.3f}) {verdict}, "
            f"{board.standings[0].rounds} rounds, {time.perf_counter() - begin:.0f} s, "
            f"{board.conditions.machine.busy_cores:.1f} cores busy before",
            flush=True,
        )
    print(f"found {found} of {given.runs}, the wrong way round {wrong}")


if __name__ == "__main__":
    main()
