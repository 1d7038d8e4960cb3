"""How a candidate's times are spread: one curve for each, above a common axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench import statistics
from bench.leaderboard import Leaderboard
from bench.page.axis import Axis, Tick, positive
from bench.page.marks import Mark, mark
from bench.page.words import milliseconds
from ftc.console import counted
from ftc.measurement import Run

WIDTH = 1000
HEIGHT = 44
"""Of a curve's own coordinates; the page stretches them."""

_BINS = 100


@dataclass(frozen=True, slots=True)
class Ridge:
    """:param path: the curve, closed along its base
    :param median: along the axis, 0 to 1000
    :param p90: None where it is not known, or lies beyond the axis
    """

    place: int
    name: str
    mark: Mark
    path: str
    median: float
    p90: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Ridges:
    """:param ticks: with places in percent
    :param title: of the axis
    """

    ridges: tuple[Ridge, ...]
    ticks: tuple[Tick, ...]
    title: str


def ridges(run: Run, board: Leaderboard) -> Ridges | None:
    """The curves of all that were timed, best first; None where nothing was."""
    known = {m.candidate.id: list(m.by_round().values()) for m in run.measurements if m.is_timed}
    pooled = {of: np.concatenate([np.asarray(times) for times in rounds]) / 1e6 for of, rounds in known.items()}
    if not pooled:
        return None
    # a few calls that the system held up would push all curves into a corner
    ends = [float(end) for times in pooled.values() for end in np.percentile(times, [0.5, 99.5])]
    axis = positive(ends, margin=0.03)
    made = []
    for place, standing in enumerate(board.standings, start=1):
        one = standing.candidate
        if one.id not in pooled:
            continue
        times = pooled[one.id]
        p90 = statistics.percentile_ns(known[one.id], 90)
        beyond = int((times > axis.high).sum())
        told = f"median {milliseconds(standing.p50_ns)} ms"
        told += f", p90 {milliseconds(p90)} ms" if p90 is not None else ""
        told += f", {counted(len(times), 'call')}" + (f", {beyond} of them beyond the axis" if beyond else "")
        made.append(
            Ridge(
                *(place, one.name, mark(one.runtime, 5), _curve(times, axis)),
                median=WIDTH * axis.at(float(np.median(times))),
                p90=WIDTH * axis.at(p90 / 1e6) if p90 is not None and p90 / 1e6 < axis.high else None,
                told=told,
            )
        )
    ticks = tuple(Tick(round(100 * tick.at, 2), tick.text) for tick in axis.ticks(8))
    batches = "time of a batch" if board.conditions.scenario == "Offline" else "latency"
    return Ridges(tuple(made), ticks, f"{batches}, ms" + (", log scale" if axis.is_log else ""))


def _curve(times: np.ndarray, axis: Axis) -> str:
    """A histogram along the axis, smoothed over neighbours, as high as the drawing."""
    edges = np.linspace(0, 1, _BINS + 1)
    counts, _ = np.histogram([axis.at(float(time)) for time in times if axis.low <= time <= axis.high], edges)
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    heights = (HEIGHT - 3) * smooth / (smooth.max() or 1.0)
    middles = (edges[:-1] + edges[1:]) / 2
    points = " ".join(f"{WIDTH * at:.0f} {HEIGHT - height:.1f}" for at, height in zip(middles, heights, strict=True))
    return f"M{WIDTH * middles[0]:.0f} {HEIGHT} {points} {WIDTH * middles[-1]:.0f} {HEIGHT}Z"
