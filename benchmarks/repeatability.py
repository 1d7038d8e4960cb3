"""The same `ftc bench` twice in a row: how far ratios to the baseline lie apart.

python benchmarks/repeatability.py BASELINE --against ARTIFACT ... --data ROWS [--runs 5] [--time-budget 30]
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench_runs import arguments, opened

from bench.disturbance import differences, typical_ns
from bench.leaderboard import rank
from bench.options import Options
from bench.run import bench
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset
from ftc.measurement import Run
from ftc.results_file import read_results


def main() -> None:
    given = arguments(__doc__, runs=5, budget_s=30, against=True)
    baseline, data = opened(given)
    others = [open_any(Path(path)) for path in given.against]
    options = Options(threads=given.threads, time_budget_s=given.time_budget, limit=1)
    worst = 0.0
    for number in range(given.runs):
        runs = [measured([baseline, *others], data, options) for _ in range(2)]
        boards = [rank(run) for run in runs]
        unlike = differences(*runs)
        for run in runs:
            times = ", ".join(f"{kind} {ns / 1e6:.3g} ms" for kind, ns in typical_ns(run).items())
            print(f"{number:3d} undisturbed {times}", flush=True)
        for other in others:
            ratios = [
                next(s.ratio_to_float_onnx for s in board.standings if s.candidate.id == other.manifest.id)
                for board in boards
            ]
            first, second = ratios
            assert first is not None
            assert second is not None
            apart = abs(second.value / first.value - 1)
            worst = worst if unlike else max(worst, apart)
            told = "".join(f"; not comparable, {line}" for line in unlike)
            print(f"{number:3d} {other.manifest.name}: {first}, then {second}: {apart:.1%} apart{told}", flush=True)
    print(f"at most {worst:.1%} apart, where the two can be compared")


def measured(artifacts: Sequence[Artifact], data: Dataset, options: Options) -> Run:
    """One `ftc bench`, read back from its results."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.jsonl"
        bench(artifacts, data=data, options=options, results_path=path)
        (run,) = read_results(path)
    return run


if __name__ == "__main__":
    main()
