"""How far two processes with the same file differ for as long as they live, and when both are started anew.

python benchmarks/processes.py ARTIFACT --data ROWS [--runs 8] [--threads N]
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from bench_runs import arguments, opened

from bench.cores import choose
from bench.remote import Worker
from ftc.artifact import Artifact
from ftc.data import Dataset
from ftc.runtimes.session import SessionOptions

ROUNDS = 6
"""Of each run, after one that is not counted."""


def main() -> None:
    given = arguments(__doc__, runs=8, budget_s=0)
    artifact, data = opened(given)
    threads = SessionOptions(given.threads).thread_count()
    for are_new in (False, True):
        with ExitStack() as stack:
            pair = [stack.enter_context(Worker(artifact, threads, "cpu", cores=choose(threads))) for _ in range(2)]
            runs = []
            for number in range(given.runs):
                if are_new or number == 0:
                    for worker in pair:
                        started(worker, artifact, data)
                runs.append([ahead(pair, len(data), (number, place)) for place in range(-1, ROUNDS)][1:])
        logs = np.array(runs)  # (runs, ROUNDS)
        means = logs.mean(axis=1)
        chance = np.sqrt(logs.var(axis=1, ddof=1).mean() / ROUNDS)
        kind = "new processes for each run" if are_new else "the same two processes"
        spread = f"runs spread by {means.std(ddof=1):.1%}, by chance alone they would by {chance:.1%}"
        print(f"{kind}: one ahead by {means.mean():+.1%} on average, {spread}", flush=True)


def started(worker: Worker, artifact: Artifact, data: Dataset) -> None:
    worker.end()
    worker.open()
    worker.first_call(data.examples[0])
    worker.prepare(data.examples, [[[row] for row in range(len(data))]])


def ahead(pair: list[Worker], rows: int, seed: tuple[int, int]) -> float:
    """By how much, in logarithm, the second took less time than the first in a round; who begins changes by turns."""
    picks = [np.random.default_rng((seed[0], seed[1] + 1)).permutation(rows).tolist()]
    times: dict[int, np.ndarray] = {}
    for place in (0, 1) if seed[1] % 2 else (1, 0):
        times[place] = np.array(pair[place].turn(picks)[0])
    return float(np.median(np.log(times[0] / times[1])))


if __name__ == "__main__":
    main()
