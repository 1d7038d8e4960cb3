"""What a search ends with: the winner, why it won, and every candidate with what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftc.search.request import Objective

if TYPE_CHECKING:
    from bench.leaderboard import Leaderboard
    from bench.standing import Standing
    from ftc.measurement import Choice
    from ftc.search.request import Request

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate that was tried.

    :param key: the commands that make it from the checkpoint
    :param predicted: speed that was expected before it was built, against the baseline: the float ONNX export, or
        where that failed the checkpoint
    :param measured: the same, as the last measurement had it
    :param drop_points: on the final rows if it came so far, else on those that judge
    :param fate: why it won, or why not
    :param way: on a GPU, in which way it was so fast, such as ``fp16-graph``; None on the CPU, or if it was not timed
    """

    key: str
    name: str
    path: Path | None
    predicted: float | None
    measured: float | None
    drop_points: float | None
    fate: str
    way: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """:param winner: the directory of the artifact that won; of the baseline if nothing may be shipped in its place

    :param is_better: whether that is another than the baseline; on a GPU the checkpoint in another way is
    :param board: the final measurement
    :param rows: all that was tried, the winner first
    :param journal: what was decided, and by which numbers
    :param seconds: that the search took, all its runs together
    :param way: on a GPU, in which way the winner is executed; None on the CPU
    """

    winner: Path
    is_better: bool
    reason: str
    board: Leaderboard
    rows: tuple[Row, ...]
    journal: Path
    seconds: float
    building_s: float
    measuring_s: float
    way: str | None = None


def choice(board: Leaderboard, request: Request, untried: Sequence[str] = ()) -> Choice:
    """The winner by all that the request asks for, as it is written down with the run; see `choose`."""
    from ftc.measurement import Choice

    best, _, reason = choose(board, request, untried)
    others = [s for s in board.standings if s is not best and _may_win(s)]
    refused = {s.candidate.id: why for s in others if (why := refusal(s, board, request)) is not None}
    return Choice(best.candidate.id if best.verdict != "failed" else None, reason, refused)


def choose(board: Leaderboard, request: Request, untried: Sequence[str] = ()) -> tuple[Standing, bool, str]:
    """The best candidate of the final measurement inside all limits; the baseline, the float export, if there is none.

    :param untried: keys of what there was no time to try
    :return: its standing, whether it is better than the baseline, and why it was chosen
    """
    baseline = _baseline(board)
    refusals = {id(standing): refusal(standing, board, request) for standing in board.standings}
    fit = [s for s in board.standings if refusals[id(s)] is None and s is not baseline and _may_win(s)]
    if not fit:
        others = [s for s in board.standings if s is not baseline and _may_win(s)]
        reasons = sorted({f"{s.candidate.name}: {why}" for s in others if (why := refusals[id(s)]) is not None})
        if (broken := refusals[id(baseline)]) is not None:
            reasons.append(f"{baseline.candidate.name}, which stays, all the same: {broken}")
        if untried:
            more = f" and {len(untried) - 1} more" if len(untried) > 1 else ""
            reasons.append(f"no time to try {untried[0]}{more}; give a longer --time-budget")
        why = "; ".join(reasons) or "nothing came to the final measurement"
        return baseline, False, f"stays, since nothing else qualifies: {why}"
    best = min(fit, key=_order(request.objective))
    return best, True, _reason(best, request)


def refusal(standing: Standing, board: Leaderboard, request: Request) -> str | None:
    """Why a candidate may not win, however good it is; None if it may."""
    if standing.verdict in ("failed", "self-check", "over the bound"):
        return standing.reason
    score = standing.metrics.get(board.main_metric)
    if request.min_score is not None:
        if score is None:
            return "its accuracy is not known"
        doubt = 0.0  # of the drop, whose whole interval must lie above
        if request.strict and standing.drop is not None and standing.drop_points is not None:
            doubt = (standing.drop.high_points - standing.drop_points) / 100
        if score - doubt < request.min_score - _ROUNDING:
            reaches = "may reach no more than" if doubt else "reaches"
            return f"{reaches} {score - doubt:.4f}, below --min-score {request.min_score:g}"
    elif not standing.candidate.is_root:
        lost = standing.drop_points
        if request.strict and standing.drop is not None:
            lost = standing.drop.high_points
        if lost is None:
            return "its accuracy is not known"
        if lost > request.max_drop_points + _ROUNDING:
            up_to = "may lose" if request.strict else "loses"
            return f"{up_to} {lost:.2f} points, more than {request.max_drop_points:g}"
    broken = request.broken_by(standing.candidate.size_bytes, memory_bytes(standing), standing.p50_ns)
    if broken is not None:
        return broken
    baseline = _baseline(board)
    if standing is baseline:
        return None
    if request.objective is Objective.SIZE:
        smaller = standing.candidate.size_bytes < baseline.candidate.size_bytes
        return None if smaller else f"is not smaller than {baseline.candidate.name}"
    ratio = standing.ratio_to_float_onnx or standing.ratio_to_root
    if ratio is None:
        return "was not compared"
    if ratio.is_slower:
        return f"is slower ({ratio})"
    return None if ratio.is_faster else f"was not shown to be faster ({ratio})"


def unproven(standing: Standing, allowed_points: float) -> str | None:
    """That a winner's drop may yet lie outside the budget, and what tells; None where it is surely inside."""
    if standing.drop is None or standing.drop.high_points <= allowed_points + _ROUNDING:
        return None
    return (
        f"{standing.candidate.name} may lose up to {standing.drop.high_points:.2f} points, as far as the rows of the "
        f"final score tell, though {standing.drop_points:.2f} were lost on them: more of these tell more, and "
        "--strict takes what is surely inside the budget alone."
    )


def _may_win(standing: Standing) -> bool:
    """Whether it is more than what a search begins with; on a GPU the checkpoint itself is one of its candidates."""
    return not standing.candidate.is_root or standing.candidate.variant is not None


def memory_bytes(standing: Standing) -> int | None:
    """The most that its process held, on a GPU the most that its runtime held there; None where that is not known."""
    return standing.peak_rss_bytes if standing.candidate.variant is None else standing.peak_gpu_bytes


def _baseline(board: Leaderboard) -> Standing:
    """The float ONNX export, or else the checkpoint, or else what is there."""
    places: Sequence[Callable[[Standing], bool]] = (
        lambda standing: standing.candidate.is_float_onnx and standing.verdict != "failed",
        lambda standing: standing.candidate.is_root,
        lambda standing: True,
    )
    by_name = sorted(board.standings, key=lambda standing: standing.candidate.name)  # as speeds are compared with it
    return next(standing for fits in places for standing in by_name if fits(standing))


def _order(objective: Objective) -> Callable[[Standing], float]:
    def size(standing: Standing) -> float:
        return standing.candidate.size_bytes

    def slowness(standing: Standing) -> float:
        ratio = standing.ratio_to_float_onnx or standing.ratio_to_root
        return -ratio.value if ratio is not None else 0.0

    return size if objective is Objective.SIZE else slowness


def _reason(best: Standing, request: Request) -> str:
    against, ratio = "float ONNX", best.ratio_to_float_onnx
    if ratio is None:
        against, ratio = "the checkpoint", best.ratio_to_root
    size = f"{best.candidate.size_bytes / 1e6:.1f} MB"
    lost = "accuracy not measured"
    if best.drop_points is not None:
        lost = f"drop {best.drop_points:.2f} points"
        if best.drop is not None:
            lost += f" (95 % interval {best.drop.low_points:.2f} to {best.drop.high_points:.2f})"
    speed = f"{ratio} as fast as {against}" if ratio is not None else "not timed"
    parts = (size, speed, lost) if request.objective is Objective.SIZE else (speed, lost, size)
    return ", ".join(parts)
