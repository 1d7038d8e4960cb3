"""The same `ftc bench` twice in a row: how far ratios to the baseline lie apart.

python benchmarks/repeatability.py BASELINE --against ARTIFACT ... --data ROWS [--runs 5] [--time-budget 30]
"""

from __future__ import annotations

from pathlib import Path

from bench_runs import arguments, opened

from bench.options import Options
from bench.run import bench
from ftc.checkpoint import open_any


def main() -> None:
    given = arguments(__doc__, runs=5, budget_s=30, against=True)
    baseline, data = opened(given)
    others = [open_any(Path(path)) for path in given.against]
    options = Options(threads=given.threads, time_budget_s=given.time_budget, limit=1)
    worst = 0.0
    for number in range(given.runs):
        boards = [bench([baseline, *others], data=data, options=options) for _ in range(2)]
        for other in others:
            ratios = [
                next(s.ratio_to_float_onnx for s in board.standings if s.candidate.id == other.manifest.id)
                for board in boards
            ]
            first, second = ratios
            assert first is not None
            assert second is not None
            apart = abs(second.value / first.value - 1)
            worst = max(worst, apart)
            print(f"{number:3d} {other.manifest.name}: {first}, then {second}: {apart:.1%} apart", flush=True)
    print(f"at most {worst:.1%} apart")


if __name__ == "__main__":
    main()
