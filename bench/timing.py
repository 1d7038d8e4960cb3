"""The rounds of a run: warmed up, fitted to the budget, and ended when the intervals are narrow enough."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from statistics import median

import numpy as np

from bench import plan, sampling, yardstick
from bench.lives import Lives
from bench.log import Log
from bench.options import Options, check_rate
from bench.remote import WorkerError
from bench.standing import judge_of
from bench.timed import Timed
from bench.trial import Trial
from ftc.console import progress

MOST_QUERIES = 4096
LEAST_QUERIES = 8

LEAST_LEFT = 0.5
"""Part of the budget that rounds are planned for though warming up took longer: a call or two would tell nothing."""


def check(options: Options, candidates: int) -> None:
    """:raises InputError: if the fewest queries that are taken do not come within the time budget"""
    if options.rate_per_s is not None:
        queries = plan.MIN_ROUNDS * LEAST_QUERIES * candidates
        check_rate(options.rate_per_s, queries, options.time_budget_s)


def take(trials: Sequence[Trial], timed: Timed, options: Options, log: Log) -> None:
    """Time the candidates that have not failed, after the rounds that the log holds already."""
    well = {trial.candidate.id: trial for trial in trials if not trial.has_failed}
    patience = plan.Patience(options.time_budget_s * 1e9, options.precision, lambda: widest(log, lives.mortal))
    counts = tuple(len(batches) for batches in timed.cells)
    whole = tuple(tuple(range(count)) for count in counts)
    pass_ns = _warm_up(well, whole)
    well = {name: trial for name, trial in well.items() if not trial.has_failed}
    if not well:
        return
    left_ns = max(patience.left_ns, LEAST_LEFT * patience.budget_ns)
    turn_ns = plan.LONG_TURN_NS if options.device == "cuda" else plan.TURN_NS
    calls = plan.fit(pass_ns, counts, len(well), left_ns, turn_ns)
    arrivals = None
    if options.rate_per_s is not None:
        arrivals, queries = _arrivals(options, len(well), pass_ns / counts[0])
        calls = (queries,)
    turns = [turn.round for known in log.run.measurements for turn in known.turns]
    lives = Lives(well, timed, left_ns / 1e9)
    sampling.interleaved(
        well,
        counts,
        calls,
        first=max(turns, default=-1) + 1,
        seed=options.seed,
        is_over=patience.is_over,
        arrivals_ns=arrivals,
        keep=lambda name, turn: well[name].keep(turn),
        fail=lambda name, reason: well[name].fail(reason),
        between=lives.renew,
        # of a GPU's turns little is the cores' doing, and nothing has been measured that says how much
        watch=yardstick.watch(log.run.conditions.pinned_cores if options.device == "cpu" else None),
    )


def widest(log: Log, mortal: Collection[str]) -> float | None:
    """Half the width of the widest interval against what the others are compared with; None where there is none yet.

    :param mortal: whose processes are replaced; the others are not waited for, since rounds cannot tell of them what
        processes would
    """
    judge = judge_of(log.run)
    reference = judge.reference
    if reference is None:
        return None
    others = [known for known in log.run.measurements if known.is_timed and known is not reference]
    if reference.candidate.id in mortal:
        others = [known for known in others if known.candidate.id in mortal] or others
    widths = [judge.precision(known, reference) for known in others]
    if any(width is None for width in widths):
        return None
    return max((width for width in widths if width is not None), default=0.0)


def _warm_up(well: dict[str, Trial], whole: Sequence[Sequence[int]]) -> float:
    """One whole pass of each candidate, which is not kept.

    :return: nanoseconds of all passes together, as they usually take
    """
    total = 0.0
    with progress("warming up", len(well)) as advance:
        for trial in well.values():
            try:
                took_ns = sum(median(times) * len(times) for times in trial.turn(whole))
                trial.warming_s = trial.warming * took_ns / 1e9
                total += took_ns
            except WorkerError as error:
                trial.fail(str(error))
            advance()
    return total


def _arrivals(options: Options, candidates: int, calls_ns: float) -> tuple[Callable[[int], Sequence[int]], int]:
    """When the queries of each round arrive, as a Poisson process, and how many of them there are in a turn.

    :param calls_ns: what one query takes all candidates together: those that cannot keep up take longer than queries
        come, and must not take longer than the time budget
    """
    rate_per_s = options.rate_per_s or 1.0
    round_s = options.time_budget_s / plan.PLANNED_ROUNDS
    most = min(rate_per_s * round_s / candidates, 1e9 * round_s / calls_ns)
    queries = int(np.clip(most, LEAST_QUERIES, MOST_QUERIES))

    def arrivals_ns(number: int) -> Sequence[int]:
        return plan.arrivals_ns(number, rate_per_s, queries, options.seed)

    return arrivals_ns, queries
