"""Accuracy against latency: who could be chosen at all, with what is not known of each drawn around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

from bench.leaderboard import Leaderboard
from bench.page import pareto
from bench.page.axis import Axis, Tick, linear, positive
from bench.page.marks import Mark, mark
from bench.page.pareto import Placed
from bench.page.words import milliseconds
from ftc.console import counted

LARGEST_PX = 13.0
SMALLEST_PX = 3.5
"""Radii of the discs that have the area of a mark; a file of nothing would be seen, too."""

_LEAST_POINTS = 1.0
"""Points that the vertical axis spans at least: a tenth of a point is no difference to look at."""


@dataclass(frozen=True, slots=True)
class Point:
    """:param x_low: where the interval begins, and
    :param x_high: where it ends; both are `x` where there is none, as of what the others are compared with
    :param label_x: where its number stands, and
    :param label_y: its baseline; both in pixels from the mark's middle
    :param told: line by line, what the tooltip and screen readers say
    """

    place: int
    x: float
    y: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    mark: Mark
    radius_px: float
    is_winner: bool
    told: tuple[str, ...]
    label_x: float = 0.0
    label_y: float = 0.0


@dataclass(frozen=True, slots=True)
class Canvas:
    """One drawing; places are in pixels. The page has a wide and a narrow one, and shows what fits.

    :param budget_y: where the accuracy budget ends; None where it lies outside
    :param front: of the candidates that none other beats in both, as a path
    """

    name: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    front: str
    budget_y: float | None


@dataclass(frozen=True, slots=True)
class Scatter:
    """:param described: the whole drawing in words
    :param left_out: candidates that have no place in it
    """

    x_title: str
    y_title: str
    budget: str
    legend: tuple[Mark, ...]
    described: str
    largest: str
    canvases: tuple[Canvas, ...]
    left_out: tuple[str, ...]


def scatter(board: Leaderboard, *, ended: bool = True) -> Scatter | None:
    """The plot, or None where no candidate has both a time and an accuracy.

    :param ended: False for an interrupted run, in which nobody has won
    """
    placed = pareto.place(board)
    if not placed:
        return None
    x_axis = positive([end for one in placed for end in one.x])
    points = [end for one in placed for end in one.y]
    budget = _budget(board, placed, points)
    y_axis = linear(points if budget is None else [*points, budget], _LEAST_POINTS)
    front = pareto.front(placed)
    shown = {one.standing.candidate.id for one in placed}
    runtimes = dict.fromkeys(one.standing.candidate.runtime for one in placed)
    return Scatter(
        x_title=pareto.time_axis(board) + (", log scale" if x_axis.is_log else ""),
        y_title=f"{board.main_metric}, %",
        budget=f"budget: {counted(board.max_drop_points, 'point')} lost",
        legend=tuple(mark(runtime) for runtime in runtimes),
        described=_described(board, placed, front),
        largest=f"{max(one.standing.candidate.size_bytes for one in placed) / 1e6:.1f} MB",
        canvases=tuple(
            _canvas(name, width, height, placed, front, (x_axis, y_axis), budget, board, ended=ended)
            for name, width, height in (("wide", 880.0, 420.0), ("narrow", 350.0, 360.0))
        ),
        left_out=tuple(
            s.candidate.name for s in board.standings if s.candidate.twin_of is None and s.candidate.id not in shown
        ),
    )


def _budget(board: Leaderboard, placed: Sequence[Placed], points: Sequence[float]) -> float | None:
    """The accuracy that may not be fallen short of; None where its line would lie far below everything else."""
    allowed = next(
        (one.y[0] + one.standing.drop_points for one in placed if one.standing.drop_points is not None), None
    )
    if allowed is None:
        return None
    budget = allowed - board.max_drop_points
    span = max(max(points) - min(points), _LEAST_POINTS)
    return budget if min(points) - budget <= 2 * span else None


def _canvas(
    name: str,
    width: float,
    height: float,
    placed: Sequence[Placed],
    front: Sequence[Placed],
    axes: tuple[Axis, Axis],
    budget: float | None,
    board: Leaderboard,
    *,
    ended: bool,
) -> Canvas:
    left, right, top, bottom = 52.0, width - 14.0, 14.0, height - 46.0
    x_axis, y_axis = axes

    def across(value: float) -> float:
        return left + x_axis.at(value) * (right - left)

    def up(value: float) -> float:
        return bottom - y_axis.at(value) * (bottom - top)

    largest = max(one.standing.candidate.size_bytes for one in placed) or 1
    points = [
        Point(
            one.place,
            *(across(one.x[0]), up(one.y[0]), across(one.x[1]), across(one.x[2]), up(one.y[1]), up(one.y[2])),
            mark=mark(one.standing.candidate.runtime, radius),
            radius_px=radius,
            is_winner=ended and one.standing.verdict == "winner",
            told=_told(one, board),
        )
        for one in placed
        for radius in (max(SMALLEST_PX, LARGEST_PX * sqrt(one.standing.candidate.size_bytes / largest)),)
    ]
    steps = [(across(one.x[0]), up(one.y[0])) for one in front]
    # in steps: what lies between two candidates cannot be had
    line = " ".join(f"H{x:.1f} V{y:.1f}" for x, y in steps[1:])
    return Canvas(
        *(name, width, height, left, right, top, bottom),
        x_ticks=tuple(replace(tick, at=left + tick.at * (right - left)) for tick in x_axis.ticks(int(width // 55))),
        y_ticks=tuple(replace(tick, at=bottom - tick.at * (bottom - top)) for tick in y_axis.ticks(int(height // 55))),
        # a small mark is not to be hidden by a large one, and what comes later is drawn on top
        points=tuple(sorted(_labelled(points, (left, right, top, bottom)), key=lambda point: -point.radius_px)),
        front=f"M{steps[0][0]:.1f} {steps[0][1]:.1f} {line}" if line else "",
        budget_y=up(budget) if budget is not None else None,
    )


def _labelled(points: list[Point], frame: tuple[float, float, float, float]) -> tuple[Point, ...]:
    """Each number stands beside its mark where it covers the fewest other marks and numbers, inside the frame."""
    left, right, top, bottom = frame
    taken = [(point.x, point.y, point.radius_px) for point in points]
    labelled = []
    for point in points:
        reach = point.radius_px + 9
        slanted = reach * 0.75
        places = [(slanted, -slanted), (-slanted, -slanted), (slanted, slanted), (-slanted, slanted)]
        places += [(0, -reach), (0, reach), (reach, 0), (-reach, 0)]

        def cost(place: tuple[float, float], of: Point = point) -> float:
            x, y = of.x + place[0], of.y + place[1]
            hidden = sum(max(0.0, r + 8 - sqrt((x - cx) ** 2 + (y - cy) ** 2)) for cx, cy, r in taken)
            # bars run through the mark, level and upright: beside them a number is easier to read
            crossed = 2.0 if 0 in place else 0.0
            inside = left < x - 5 and x + 5 < right and top < y - 5 and y + 5 < bottom
            return hidden + crossed + (0.0 if inside else 100.0)

        across, down = min(places, key=cost)
        taken.append((point.x + across, point.y + down, 6.0))
        labelled.append(replace(point, label_x=across, label_y=down + 4))
    return tuple(labelled)


def _told(one: Placed, board: Leaderboard) -> tuple[str, ...]:
    standing, ratio, drop = one.standing, one.standing.cells[0].ratio, one.standing.drop
    speed = f", speed {ratio}" if ratio is not None and ratio.low < ratio.high else ""
    lines = [
        f"{one.place}. {standing.candidate.name}",
        f"{standing.candidate.runtime}, {standing.candidate.size_bytes / 1e6:.1f} MB",
        f"{milliseconds(one.x[0] * 1e6)} ms{speed}",
        f"{board.main_metric} {one.y[0]:.2f} %",
    ]
    if drop is not None:
        lines.append(f"drop {drop.points:.2f} points ({drop.low_points:.2f} to {drop.high_points:.2f})")
    return tuple(lines)


def _described(board: Leaderboard, placed: Sequence[Placed], front: Sequence[Placed]) -> str:
    names = ", ".join(one.standing.candidate.name for one in front)
    return (
        f"{counted(len(placed), 'candidate')} by {pareto.time_axis(board)} and {board.main_metric}. "
        f"None is both faster and better than: {names}. The leaderboard below holds the numbers."
    )
