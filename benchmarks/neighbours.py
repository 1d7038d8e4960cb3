"""What slowed cores do to ratios: the rounds of a results file around which one was slowed, and the others.

ftc bench FLOAT INT8 --data ROWS --threads 1 --time-budget 60 -o RESULTS && python benchmarks/neighbours.py RESULTS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from bench.disturbance import slowness, typical_ns
from bench.standing import Judge, judge_of
from ftc.measurement import Measurement
from ftc.results_file import read_results


def main() -> None:
    for run in read_results(Path(sys.argv[1])):
        judge = judge_of(run)
        turns = [turn for known in run.measurements for turn in known.turns if turn.core_ns]
        if not turns or run.conditions.cells[0].batch_size is None or judge.reference is None:
            print(f"run {run.id}: no readings, or batches that differ in size")
            continue
        print(f"run {run.id}")
        for (kind, times), ns in zip(slowness(turns).items(), typical_ns(run).values(), strict=True):
            shares = ", ".join(f"{share} % up to {np.nanpercentile(times, share):.2f}" for share in (50, 75, 90, 99))
            print(f"  {kind}: typically {ns / 1e6:.3g} ms; times as slow as the quicker tenth: {shares}")
        for known in run.measurements:
            if known.is_timed and known is not judge.reference:
                told(judge, known, judge.reference)


def told(judge: Judge, known: Measurement, reference: Measurement) -> None:
    ours, theirs, clear = known.by_round(), reference.by_round(), judge.clear(known, reference)
    for words, numbers in (("slowed", judge.common(known, reference) - clear), ("others", clear)):
        logs = np.array([np.median(np.log(np.divide(theirs[number], ours[number]))) for number in numbers])
        if len(logs):
            spread = f"{np.exp(np.median(logs)):.2f}x, spread {logs.std():.0%}"
            print(f"  {known.candidate.name}, {words}: {len(logs)} rounds, {spread}")


if __name__ == "__main__":
    main()
