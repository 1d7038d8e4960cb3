"""Who won and why, in one sentence and a few numbers."""

from __future__ import annotations

from bench.leaderboard import Leaderboard
from bench.page.view import Figure, Headline
from bench.page.words import TIMES, interval, milliseconds, number
from bench.standing import Standing
from ftc.measurement import Candidate, Run


def headline(run: Run, board: Leaderboard, reference: Candidate | None) -> Headline:
    """What a reader takes away who reads no more than that.

    :param reference: what speed is compared with
    """
    if not run.ended:
        rounds = max((standing.rounds for standing in board.standings), default=0)
        leads = f" By then {board.winner.name} was ahead." if board.winner is not None else ""
        return Headline(None, f"Interrupted after {rounds} rounds, so no winner is named.{leads}")
    won = next((standing for standing in board.standings if standing.verdict == "winner"), None)
    if board.winner is None or won is None:
        return Headline(None, f"No winner: {board.reason}.")
    compared = next((standing for standing in board.standings if standing.candidate == reference), None)
    return Headline(won.candidate.name, f"{board.reason}.", tuple(_figures(won, compared, board)))


def _figures(won: Standing, compared: Standing | None, board: Leaderboard) -> list[Figure]:
    other = compared if compared is not won else None
    figures = []
    ratio = won.cells[0].ratio if won.cells else None
    if ratio is not None and other is not None:
        figures.append(
            Figure("Speed", f"{ratio.value:.2f}{TIMES}", f"of {other.candidate.name}; 95 % {interval(ratio)}")
        )
    figures.append(_throughput(won, other) if board.conditions.scenario == "Offline" else _latency(won, other))
    score = won.metrics.get(board.main_metric)
    if score is not None:
        figures.append(Figure(board.main_metric.capitalize(), f"{100 * score:.2f} %", _lost(won)))
    smaller = ""
    if other is not None and other.candidate.size_bytes > 0:
        smaller = f"{100 * won.candidate.size_bytes / other.candidate.size_bytes:.0f} % of {other.candidate.name}"
    figures.append(Figure("Size", f"{won.candidate.size_bytes / 1e6:.1f} MB", smaller))
    return figures


def _latency(won: Standing, other: Standing | None) -> Figure:
    before = f"; {milliseconds(other.p50_ns)} ms before" if other is not None and other.p50_ns is not None else ""
    return Figure("Latency", f"{milliseconds(won.p50_ns)} ms", f"median{before}")


def _throughput(won: Standing, other: Standing | None) -> Figure:
    """Rows in a second: times of batches of unlike sizes say nothing of each other."""
    before = f"; {number(other.rows_per_second, 1, 0)} before" if other is not None and other.rows_per_second else ""
    return Figure("Throughput", f"{number(won.rows_per_second, 1, 0)} rows/s", f"each in its own best batch{before}")


def _lost(won: Standing) -> str:
    if won.drop_points is None:
        return ""
    if won.drop is None:
        return f"drop {won.drop_points:.2f} points"
    return f"drop {won.drop_points:.2f} points; 95 % {won.drop.low_points:.2f} to {won.drop.high_points:.2f}"
