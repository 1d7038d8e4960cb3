"""What `ftc bench` costs besides the model's loading and calls, and whether these take as long as in a bare loop.

python benchmarks/harness_cost.py ARTIFACT --data ROWS [--runs 3] [--time-budget 30]
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench_runs import arguments, opened, pair
from counted_worker import FILE, at_work_ns

from bench.options import Options
from bench.run import TWIN, bench
from ftc.results_file import read_results


def main() -> None:
    given = arguments(__doc__, runs=3, budget_s=30)
    artifact, data = opened(given)
    modules = dict.fromkeys((artifact.manifest.id, artifact.manifest.id + TWIN), "benchmarks.counted_worker")
    for number in range(given.runs):
        with tempfile.TemporaryDirectory() as folder:
            path, noted = Path(folder) / "bench.jsonl", Path(folder) / "noted"
            os.environ[FILE] = str(noted)
            options = Options(
                threads=given.threads, time_budget_s=given.time_budget, precision=None, seed=number, self_check=True
            )
            begin = time.perf_counter()
            bench([artifact], data=data, options=options, results_path=path, modules=modules)
            whole_s = time.perf_counter() - begin
            (run,) = read_results(path)
            model_s = at_work_ns(noted) / 1e9
        timed_s = sum(sum(map(sum, turn.calls_ns)) for known in run.measurements for turn in known.turns) / 1e9
        print(
            f"{number:3d} {whole_s:.1f} s: the model loads or runs for {model_s:.1f} s of it, "
            f"{1 - model_s / whole_s:.1%} is the harness's; counted calls take {timed_s:.1f} s, the rest "
            f"{1 - timed_s / whole_s:.1%} of the whole and {1 - timed_s / given.time_budget:.1%} of the time budget",
            flush=True,
        )
        check = pair(given, seed=number, module="benchmarks.bare_worker").self_check
        assert check is not None
        assert check.ratio is not None, "enough rounds"
        print(
            f"    a bare loop's latency is {1 / check.ratio.value:.3f} of the measured one: {check.ratio}", flush=True
        )


if __name__ == "__main__":
    main()
