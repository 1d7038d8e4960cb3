"""Candidates by time and accuracy, with what is not known of each, and those among them that could be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.leaderboard import Leaderboard
from bench.standing import Standing


@dataclass(frozen=True, slots=True)
class Placed:
    """A candidate.

    :param x: its time in milliseconds, and both ends of the interval
    :param y: its accuracy in points, and both ends of the interval
    """

    standing: Standing
    place: int
    x: tuple[float, float, float]
    y: tuple[float, float, float]


def place(board: Leaderboard) -> tuple[Placed, ...]:
    """The candidates that have both a time and an accuracy, in the order of the ranking."""
    made = (_placed(standing, number, board) for number, standing in enumerate(board.standings, start=1))
    return tuple(one for one in made if one is not None)


def _placed(standing: Standing, number: int, board: Leaderboard) -> Placed | None:
    """In milliseconds and points; the widths are those of the interval of speed and of that of the drop."""
    score, time_ns = standing.metrics.get(board.main_metric), standing.p50_ns
    if score is None or time_ns is None or standing.candidate.twin_of is not None:
        return None
    if board.conditions.scenario == "Offline" and standing.rows_per_second:
        time_ns = 1e9 / standing.rows_per_second
    middle, points = time_ns / 1e6, 100 * score
    ratio, drop = standing.cells[0].ratio, standing.drop
    x = (middle, middle, middle)
    if ratio is not None:
        x = (middle, middle * ratio.value / ratio.high, middle * ratio.value / ratio.low)
    y = (points, points, points)
    if drop is not None:
        y = (points, points + drop.points - drop.high_points, points + drop.points - drop.low_points)
    return Placed(standing, number, x, y)


def time_axis(board: Leaderboard) -> str:
    """What the times are of."""
    if board.conditions.scenario == "Offline":
        return "time of a row in the best batch, ms"
    return "median latency, waiting included, ms" if board.conditions.arrivals is not None else "median latency, ms"


def front(placed: Sequence[Placed]) -> tuple[Placed, ...]:
    """Those that no other beats in time without losing accuracy, the fastest first."""
    best: list[Placed] = []
    for one in sorted(placed, key=lambda one: (one.x[0], -one.y[0])):
        if not best or one.y[0] > best[-1].y[0]:
            best.append(one)
    return tuple(best)
