"""What should be known before a result is trusted, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median

import numpy as np

from bench import plan, statistics, timed
from bench.disturbance import KINDS, LEAST_CLEAR
from bench.intervals import LEAST_PROCESSES, PROCESS_SPREAD, Z
from bench.leaderboard import self_check
from bench.standing import Judge, judge_of
from ftc.measurement import Caution, Conditions, Measurement, Run

BUSY_SHARE = 0.15
"""Of the cores; above it, other work disturbs what is measured."""

STRETCH_NS = 800_000_000
"""Of calls: a single round is too short to tell more of the machine than chance."""

SHORT_STRETCH_NS = 100_000_000
"""Enough where the medians of a run's first and last third are compared: a second of calls shows what got slower."""

NOISY_SPREAD = 0.25
"""Interquartile range of the stretches' medians as a share of their median: what torch.utils.benchmark calls gross."""

SEEN = 4
"""Times that each example was timed, for what it usually takes to be known."""

SLOWED = 1.2
"""How much longer the last third of the stretches takes than the first."""

SLOW_START = 20
SLOW_START_NS = 200_000_000
"""A first call of so many medians, and of so long, is what a user waits for after a start."""

TELLING = 0.1
"""Half the width of a self-check's interval: a wider one holds 1 whatever the machine does."""

SLOWED_SHARE = 0.05
"""Of the rounds: so many may be slowed now and then."""

WIDE = 1.5
"""Times what is added to an interval for too few processes: one that is wider than so has other reasons, too."""

_QUIET = "Measure again when it is quiet, or longer: --time-budget."


def before(conditions: Conditions) -> tuple[Caution, ...]:
    """What can be said before anything is timed."""
    return tuple(_before(conditions))


def resumed(run: Run) -> tuple[Caution, ...]:
    """What cannot be known of a run that is about to be gone on with: processes that were killed have told nothing."""
    if all(known.opening is None for known in run.measurements):
        return ()
    return (
        Caution(
            "resumed",
            "the run was interrupted: memory and power are those of the processes that went on with it.",
            "Where they matter, measure without --resume.",
        ),
    )


def after(run: Run) -> tuple[Caution, ...]:
    """What the times say of themselves."""
    return tuple(_after(run))


def _before(conditions: Conditions) -> Iterator[Caution]:
    machine = conditions.machine
    if machine.busy_cores > BUSY_SHARE * machine.cores:
        yield Caution(
            "busy host",
            f"the machine is busy ({machine.busy_cores:.1f} of {machine.cores} cores with other work): times will be "
            "too long, and ratios flatter those whose calls are short.",
            _QUIET,
        )
    if machine.cpu_quota is not None and machine.cpu_quota < conditions.threads:
        yield Caution(
            "quota",
            f"the control group allows {machine.cpu_quota:g} cores' worth of time, less than {conditions.threads} "
            "threads use: all of them are stopped for the rest of each period.",
            f"Take --threads {max(1, int(machine.cpu_quota))}, or raise the quota.",
        )
    if machine.governor == "powersave":
        yield Caution(
            "governor",
            "the processor's governor is powersave: short bursts run at a low clock.",
            "Set it to performance: cpupower frequency-set -g performance",
        )


def _after(run: Run) -> Iterator[Caution]:
    judge = judge_of(run)
    reference = judge.reference
    if reference is not None:
        yield from _of_reference(reference, run.conditions)
        yield from _of_cores(judge, reference)
    for known in run.measurements:
        if not known.is_timed or known.opening is None or known.candidate.twin_of is not None:
            continue
        usual = statistics.percentile_ns(known.by_round().values(), 50) or 0.0
        first = known.opening.first_call_ns
        if first > SLOW_START_NS and first > SLOW_START * usual:
            yield Caution(
                "slow first run",
                f"the first call of {known.candidate.name} took {first / 1e9:.1f} s, {first / usual:.0f} times its "
                "median.",
                "Call it once before it serves.",
            )
    largest = max(timed.OFFLINE_SIZES)
    in_largest = [m for m in run.measurements if m.is_timed and m.opening and m.opening.batch_size == largest]
    if in_largest:
        yield Caution(
            "largest batch",
            f"{', '.join(m.candidate.name for m in in_largest)}: fastest in batches of {largest}, the largest tried.",
            "Time larger ones: ftc bench --scenario single-stream --batch-sizes 128,256.",
        )
    check = self_check(judge)
    if check is not None and check.passed and check.ratio is not None and check.ratio.precision > TELLING:
        yield Caution(
            "blunt self-check",
            f"the self-check says little: its ratio is known to {check.ratio.precision:.1%}.",
            "Give a longer --time-budget.",
        )
    others = [known for known in run.measurements if known.is_timed and known is not reference]
    once = [known for known in others if _lives(judge, known, reference) < LEAST_PROCESSES]
    wide = [
        (precision, known.candidate.name)
        for known in others
        if (precision := judge.precision(known, reference)) is not None
        and (known not in once or precision > WIDE * Z * PROCESS_SPREAD)
    ]
    if run.precision is not None and wide and max(wide)[0] > run.precision:
        widest, name = max(wide)
        yield Caution(
            "too few samples",
            f"the time budget ended with a ratio of {name} known to {widest:.1%}, not to the {run.precision:.1%} "
            "that was asked for.",
            "Give a longer --time-budget, or a quieter machine.",
        )
    if run.precision is not None and run.precision < Z * PROCESS_SPREAD and reference is not None and once:
        yield _of_processes(judge, once, reference)


def _of_processes(judge: Judge, once: Sequence[Measurement], reference: Measurement) -> Caution:
    """What ratios that come from too few processes are good for, and what has made them so few."""
    best = f"so ratios are known to {Z * PROCESS_SPREAD:.1%} at best."
    rare = dict.fromkeys(
        one.candidate.name
        for known in once
        for one in (reference, known)
        if len({one.processes[number] for number in judge.common(known, reference)}) < LEAST_PROCESSES
    )
    if rare:
        return Caution(
            "few processes",
            f"{', '.join(rare)}: starting them anew takes too long to do it often enough in this time, {best}",
            "Give a longer --time-budget.",
        )
    return Caution(
        "few processes",
        f"{', '.join(known.candidate.name for known in once)}: without the rounds in which cores were slowed, too few "
        f"processes are left, {best}",
        "Give a longer --time-budget, or a quieter machine.",
    )


def _of_cores(judge: Judge, reference: Measurement) -> Iterator[Caution]:
    others = [known for known in judge.run.measurements if known.is_timed and known is not reference]
    known = max(others or [reference], key=lambda known: len(_slowed(judge, known, reference)))
    rounds, clear = len(judge.common(known, reference)), len(judge.clear(known, reference))
    if rounds - clear <= max(1, SLOWED_SHARE * rounds):
        return
    by_kind = ((kind, len(_slowed(judge_of(judge.run, [kind]), known, reference))) for kind in KINDS)
    what = ", ".join(f"{kind} in {count}" for kind, count in by_kind if count)
    so = "ratios come from the others" if clear >= LEAST_CLEAR else "too few others for ratios, which are less certain"
    yield Caution(
        "slowed cores",
        f"in {rounds - clear} of {rounds} rounds of {known.candidate.name} cores were slower than undisturbed "
        f"({what}): {f'{so}; ' if others else ''}times are of all.",
        "Other work does this: of this machine, or, where it is virtual, of others on the same hardware. Measure when "
        "it is quiet.",
    )


def _slowed(judge: Judge, known: Measurement, reference: Measurement) -> frozenset[int]:
    return judge.common(known, reference) - judge.clear(known, reference)


def _lives(judge: Judge, known: Measurement, reference: Measurement | None) -> int:
    """Processes that the rounds of a ratio come from, of whichever of the two has had fewer."""
    if reference is None:
        return 0
    numbers = judge.counted(known, reference)
    return min(len({one.processes[number] for number in numbers}) for one in (known, reference))


def _stretches(known: Measurement, conditions: Conditions, stretch_ns: float = STRETCH_NS) -> list[float]:
    """The typical call of each stretch of the run in nanoseconds: the mean of its rounds' medians."""
    typical, medians, spent_ns = [], list[float](), 0
    rounds = known.by_round()
    for number, taken in _as_of_one_example(rounds, conditions).items():
        medians.append(median(taken))
        spent_ns += sum(rounds[number])
        if spent_ns >= stretch_ns:
            typical.append(fmean(medians))
            medians, spent_ns = [], 0
    return typical


def _as_of_one_example(rounds: Mapping[int, Sequence[int]], conditions: Conditions) -> dict[int, list[float]]:
    """The times of each round as if all examples took as long as each other; none where what they take is unknown.

    A round holds a part of them, and long texts would look like a slow moment.
    """
    if conditions.cells[0].batch_size != 1:
        return {number: [float(taken) for taken in rounds[number]] for number in sorted(rounds)}
    count, seed = conditions.timed_examples, conditions.seed
    picks = {n: plan.round_of(n, (), (count,), (len(calls),), seed).picks[0] for n, calls in rounds.items()}
    times: dict[int, list[int]] = {}
    for number, calls in rounds.items():
        for example, taken in zip(picks[number], calls, strict=True):
            times.setdefault(example, []).append(taken)
    if min(map(len, times.values())) < SEEN:
        return {}
    usual = {example: median(taken) for example, taken in times.items()}
    middle = median(usual.values())
    return {
        number: [middle * taken / usual[example] for example, taken in zip(picks[number], rounds[number], strict=True)]
        for number in sorted(rounds)
    }


def _of_reference(reference: Measurement, conditions: Conditions) -> Iterator[Caution]:
    if conditions.arrivals is not None:
        return  # what a query waits for is chance
    typical = _stretches(reference, conditions)
    if typical:
        low, middle, high = np.percentile(typical, [25, 50, 75])
        if (high - low) / middle > NOISY_SPREAD:
            yield Caution(
                "noisy host",
                f"{reference.candidate.name} took {low / 1e6:.2f} to {high / 1e6:.2f} ms in the middle half of the "
                "run: times are of this moment, ratios are what can be quoted.",
                _QUIET,
            )
    spent_ns = sum(map(sum, reference.by_round().values()))
    typical = _stretches(reference, conditions, max(SHORT_STRETCH_NS, min(STRETCH_NS, spent_ns / 20)))
    third = len(typical) // 3
    if third >= 3 and median(typical[-third:]) > SLOWED * median(typical[:third]):
        yield Caution(
            "throttling",
            f"{reference.candidate.name} took {median(typical[-third:]) / median(typical[:third]):.1f} times as long "
            "at the end as at the beginning: the processor was throttled, or other work began.",
            "Let it cool down, and look at what else is running.",
        )
