"""The leaderboard: a pure function of a run, with the reason why each loser lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.intervals import Ratio
from bench.standing import Judge, Standing, Verdict, judge_of
from ftc.measurement import Candidate, Caution, Conditions, Measurement, Run

_PLACES: dict[Verdict, int] = {
    "winner": 0,
    "slower": 1,
    "no difference": 1,
    "not chosen": 1,
    "not compared": 1,
    "over the bound": 2,
    "over budget": 2,
    "refused": 2,
    "accuracy unknown": 2,
    "self-check": 3,
    "failed": 4,
}


_REFUSED: dict[Verdict, str] = {
    "over the bound": "did not keep the latency bound",
    "over budget": "lost more than the accuracy budget",
    "accuracy unknown": "could not be shown to stay inside the accuracy budget",
    "failed": "failed",
}
"""What those did, said behind their number, that leave a run without a winner."""


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """What is compared with, against itself in a second process.

    :param passed: whether no difference was shown; None where they could not be compared
    :param failure: of one of the two; None where both were timed
    """

    name: str
    ratio: Ratio | None
    passed: bool | None
    failure: str | None = None

    def __str__(self) -> str:
        if self.ratio is None:
            return f"{self.name} against itself was not compared: {self.failure or 'too few rounds in common'}"
        shown = "a difference was shown where there is none"
        if self.passed:
            unseen = max(self.ratio.high - 1, 1 - self.ratio.low)
            shown = f"no difference shown, as it must be (one of up to {unseen:.1%} may stay unseen)"
        return f"{self.name} against itself: {self.ratio}, {shown}"


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Standings, best first.

    :param winner: None where no candidate could be ranked
    :param reason: why that one won, or why none did
    :param float_onnx_absent: why no ratio to a float ONNX export is given; None where it is
    :param root_absent: what drops are taken to because the checkpoint failed; None where it did not
    """

    run: str
    root_id: str
    main_metric: str
    max_drop_points: float
    winner: Candidate | None
    reason: str
    float_onnx_absent: str | None
    root_absent: str | None
    standings: tuple[Standing, ...]
    conditions: Conditions
    self_check: SelfCheck | None = None
    precision: float | None = None
    cautions: tuple[Caution, ...] = ()

    @property
    def resolvable_points(self) -> float | None:
        """Smaller drops than this, the rows cannot tell from none, whichever candidate has them."""
        known = [s.drop.resolvable_points for s in self.standings if s.drop is not None and s.verdict != "self-check"]
        return max(known, default=None)


def rank(run: Run) -> Leaderboard:
    """Rank by speed in the first cell those that stay inside the accuracy budget.

    The checkpoint is the reference for accuracy and the float ONNX export for speed; either stands in for the
    other where that is missing. A candidate wins only if its interval lies above 1; if none does, the
    reference wins. Where neither may win, the lowest median does, and it is said if that was not shown to be faster.
    Nobody wins where a self-check did not pass. Where a search has chosen, that is the winner.
    """
    measured = sorted((m for m in run.measurements if m.is_timed), key=lambda m: m.candidate.name)
    judge = judge_of(run)
    check = self_check(judge)
    if run.choice is not None:
        reason = run.choice.reason
        winner = next((m for m in measured if m.candidate.id == run.choice.candidate_id), None)
    elif check is not None and not check.passed:
        why = "failed" if check.passed is False else "could not be made"
        told = f"the self-check {why}: no ratio of this run is to be believed"
        winner, reason = None, f"{told}; measure again, longer or on a quieter machine"
    else:
        winner, reason = _winner([m for m in measured if judge.refusal(m) is None], judge)
    standings = [judge.standing(measurement, winner) for measurement in run.measurements]
    return Leaderboard(
        run=run.id,
        root_id=run.root_id,
        main_metric=run.main_metric,
        max_drop_points=run.max_drop_points,
        winner=winner.candidate if winner is not None else None,
        reason=reason,
        float_onnx_absent=_absent(run) if judge.float_onnx is None else None,
        root_absent=_without_root(run, judge) if judge.root is None else None,
        standings=tuple(sorted(standings, key=_place)),
        conditions=run.conditions,
        self_check=check,
        precision=run.precision,
        cautions=run.cautions,
    )


def self_check(judge: Judge) -> SelfCheck | None:
    """What the run's self-check has found; None where none was asked for."""
    twin = next((m for m in judge.run.measurements if m.candidate.twin_of is not None), None)
    if twin is None:
        return None
    first = next(m for m in judge.run.measurements if m.candidate.id == twin.candidate.twin_of)
    ratio = judge.ratio(twin, first)
    passed = None if ratio is None else not (ratio.is_faster or ratio.is_slower)
    failures = (f"{known.candidate.name} failed: {known.failure}" for known in (first, twin) if known.failure)
    return SelfCheck(first.candidate.name, ratio, passed, next(failures, None))


def _winner(fit: Sequence[Measurement], judge: Judge) -> tuple[Measurement | None, str]:
    if not fit:
        refusals = Counter(refusal[0] for m in judge.run.measurements if (refusal := judge.refusal(m)) is not None)
        told = (f"{refusals[verdict]} {did}" for verdict, did in _REFUSED.items() if refusals[verdict])
        return None, f"no candidate may win: {', '.join(told)}"
    reference = next((m for m in (judge.float_onnx, judge.root) if m is not None and m in fit), None)
    if reference is None:
        return _lowest_median(fit, judge)
    compared = [(judge.ratio(m, reference), m) for m in fit if m is not reference]
    faster = [(ratio, m) for ratio, m in compared if ratio is not None and ratio.is_faster]
    if not faster:
        return reference, "nothing inside the accuracy budget was shown to be faster" + _unknown(judge, reference)
    ratio, best = max(faster, key=lambda entry: entry[0].value)
    drop = judge.drop_points(best)
    lost = "accuracy was not measured" if drop is None else f"drop {drop:.2f} points of {judge.run.main_metric}"
    interval = f"95 % interval {ratio.low:.2f}-{ratio.high:.2f}"
    return best, f"{ratio.value:.2f}x as fast as {reference.candidate.name} ({interval}), {lost}"


def _lowest_median(fit: Sequence[Measurement], judge: Judge) -> tuple[Measurement, str]:
    best = min(fit, key=judge.typical_ns)
    others = [(judge.ratio(best, other), other.candidate.name) for other in fit if other is not best]
    unsure = [name for ratio, name in others if ratio is None or not ratio.is_faster]
    if unsure:
        return best, f"the lowest median inside the accuracy budget; not shown to be faster than {', '.join(unsure)}"
    return best, "the fastest inside the accuracy budget"


def _unknown(judge: Judge, reference: Measurement) -> str:
    """What might be, if its accuracy were known."""
    faster = []
    for measurement in judge.run.measurements:
        refusal, ratio = judge.refusal(measurement), judge.ratio(measurement, reference)
        if refusal is not None and refusal[0] == "accuracy unknown" and ratio is not None and ratio.is_faster:
            faster.append((ratio.value, measurement.candidate.name))
    if not faster:
        return ""
    value, name = max(faster)
    return f"; {name} is {value:.2f}x as fast, but its accuracy is not known: give labelled rows"


def _absent(run: Run) -> str:
    untimed = next((m for m in run.measurements if m.candidate.is_float_onnx), None)
    if untimed is not None:
        return f"the float ONNX export, {untimed.candidate.name}, {_fate(untimed)}"
    if run.choice is not None:
        return "no float ONNX export of the checkpoint came so far in the search"
    return "no float ONNX export of the checkpoint is among the candidates: add its path, or make it with ftc export"


def _without_root(run: Run, judge: Judge) -> str | None:
    untimed = next((m for m in run.measurements if m.candidate.is_root), None)
    if untimed is None:
        return None
    told = f"the checkpoint, {untimed.candidate.name}, {_fate(untimed)}"
    if judge.float_onnx is None:
        return f"{told}: no drop is known"
    return f"{told}: drops are taken to its float export, {judge.float_onnx.candidate.name}"


def _fate(untimed: Measurement) -> str:
    return "failed" if untimed.failure is not None else "was not timed before the run was interrupted"


def _place(standing: Standing) -> tuple[int, float, str]:
    ratio = standing.cells[0].ratio if standing.cells else None
    return _PLACES[standing.verdict], -ratio.value if ratio is not None else 0.0, standing.candidate.name
