"""What slowed cores do to ratios: the rounds of a results file during which one was slower than usual, and the others.

ftc bench INT8 FLOAT --data ROWS --precision none --time-budget 5m -o RESULTS && python benchmarks/neighbours.py RESULTS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from bench.standing import judge_of
from bench.yardstick import USUAL
from ftc.results_file import read_results


def main() -> None:
    for run in read_results(Path(sys.argv[1])):
        judge = judge_of(run)
        reference = judge.reference
        if reference is None:
            continue
        readings = np.array([turn.core_ns for known in run.measurements for turn in known.turns if turn.core_ns])
        times = (readings / np.percentile(readings, USUAL, axis=0)).max(axis=1)  # (turns,)
        shares = ", ".join(f"{share}% up to {np.percentile(times, share):.2f}" for share in (50, 75, 90, 95, 99))
        print(f"run {run.id}: a core took, of what is usual, {shares}")
        theirs = reference.by_round()
        for known in run.measurements:
            if known is reference or not known.is_timed:
                continue
            ours = known.by_round()
            slow = {number for name, number in judge.slowed if name in (known.candidate.id, reference.candidate.id)}
            logs = {
                number: float(np.median(np.log(np.divide(theirs[number], ours[number]))))
                for number in theirs.keys() & ours.keys()
            }
            for words, of in (("slowed", slow & logs.keys()), ("others", logs.keys() - slow)):
                values = np.array([logs[number] for number in of])
                if len(values):
                    told = f"{len(values)} rounds, {np.exp(np.median(values)):.2f}x, spread {values.std():.0%}"
                    print(f"  {known.candidate.name}: {words}: {told}")


if __name__ == "__main__":
    main()
