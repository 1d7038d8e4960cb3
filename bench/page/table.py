"""The leaderboard as a table that can be sorted: what a cell says, and the number it is sorted by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.intervals import Ratio
from bench.leaderboard import Leaderboard
from bench.page.marks import Mark, mark
from bench.page.words import NONE, TIMES, interval, milliseconds, number
from bench.standing import Standing, Verdict
from ftc.console import counted
from ftc.measurement import Cell

_SAID: tuple[Verdict, ...] = ("slower", "no difference", "not compared", "failed")
"""Verdicts that their reasons begin with."""

_LOST: tuple[Verdict, ...] = ("slower", "no difference", "not chosen", "not compared", "self-check")
"""Verdicts on candidates that nothing is wrong with."""


@dataclass(frozen=True, slots=True)
class Column:
    """:param descending: whether large values are the better ones, which the first sorting brings to the top"""

    title: str
    unit: str = ""
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """:param note: a second, smaller line: an interval
    :param value: what it is sorted by; None stays at the end
    """

    text: str
    note: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """:param place: in the ranking, 1 is first
    :param verdict: one word or two where the reason does not say it
    :param reason: why it won or lost
    :param state: of the ranking, for the style sheet
    """

    place: int
    name: str
    format: str
    mark: Mark
    verdict: str
    reason: str
    state: Literal["won", "lost", "refused"]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """:param columns: of the entries, the candidate's own apart
    :param has_reasons: whether rows say why they are where they are
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    has_reasons: bool = True


def leaderboard(board: Leaderboard, reference: str | None, *, ended: bool) -> Table:
    """Everything that the ranking rests on.

    :param reference: the candidate that speed is compared with
    :param ended: False for an interrupted run, in which whoever leads has not won
    """
    metric = board.main_metric
    columns: dict[Column, Callable[[Standing], Entry]] = {
        Column("speed", f"{TIMES} {reference}" if reference is not None else "", descending=True): _speed,
        Column("p50", "ms"): lambda s: _milliseconds(s.p50_ns),
        Column("p90", "ms"): lambda s: _milliseconds(s.p90_ns),
        Column("p99", "ms"): lambda s: _milliseconds(s.p99_ns),
        Column("throughput", "rows/s", descending=True): lambda s: _scaled(s.rows_per_second, 1, 0),
        Column(metric, "%", descending=True): lambda s: _scaled(s.metrics.get(metric), 100, 2),
        Column("drop", "points"): _drop,
        Column("same label", "%", descending=True): lambda s: _scaled(s.label_agreement, 100, 1),
        Column("size", "MB"): lambda s: _scaled(s.candidate.size_bytes, 1e-6, 1),
        Column("memory", "MB"): lambda s: _scaled(s.peak_rss_bytes, 1e-6, 0),
        Column("GPU memory", "MB"): lambda s: _scaled(s.peak_gpu_bytes, 1e-6, 0),
        Column("power", "W"): lambda s: _scaled(s.power_w, 1, 0),
        Column("load", "s"): lambda s: _scaled(s.load_ns, 1e-9, 2),
        Column("first call", "ms"): lambda s: _milliseconds(s.first_call_ns),
        Column("encode", "ms"): lambda s: _milliseconds(s.encode_p50_ns),
        Column("decode", "ms"): lambda s: _milliseconds(s.decode_p50_ns),
        Column("best batch", "rows", descending=True): lambda s: _scaled(s.batch_size, 1, 0),
    }
    entries = {column: [of(standing) for standing in board.standings] for column, of in columns.items()}
    shown = {column: made for column, made in entries.items() if any(one.value is not None for one in made)}
    rows = (
        _row(place, standing, board, ended, tuple(made[place - 1] for made in shown.values()))
        for place, standing in enumerate(board.standings, start=1)
    )
    return Table(tuple(shown), tuple(rows))


def grid(board: Leaderboard, *, ended: bool) -> Table:
    """The median of every cell that was timed, with the speed in it against the reference."""
    rows = (
        Row(
            place,
            standing.candidate.name,
            standing.candidate.format,
            mark(standing.candidate.runtime),
            verdict="",
            reason="",
            state="won" if ended and standing.verdict == "winner" else "lost",
            entries=tuple(Entry(milliseconds(cell.p50_ns), _ratio(cell.ratio), cell.p50_ns) for cell in standing.cells),
        )
        for place, standing in enumerate(board.standings, start=1)
        if standing.cells
    )
    return Table(tuple(Column(_cell(cell), "ms") for cell in board.conditions.cells), tuple(rows), has_reasons=False)


def verdict(standing: Standing, *, ended: bool) -> str:
    """Its verdict; who leads an interrupted run is ahead."""
    return "ahead" if standing.verdict == "winner" and not ended else standing.verdict


def _row(place: int, standing: Standing, board: Leaderboard, ended: bool, entries: tuple[Entry, ...]) -> Row:
    won = standing.verdict == "winner"
    one = standing.candidate
    reason = board.reason if won else standing.reason
    lost = won or standing.verdict in _LOST  # who leads an interrupted run has not won it
    state: Literal["won", "lost", "refused"] = "won" if won and ended else "lost" if lost else "refused"
    said = "" if standing.verdict in _SAID else verdict(standing, ended=ended)
    return Row(place, one.name, one.format, mark(one.runtime), said, reason, state, entries)


def _cell(cell: Cell) -> str:
    rows = f"batch {cell.batch_size}" if cell.batch_size is not None else "best batch"
    return f"{rows}, {counted(cell.length, 'token') if cell.length is not None else 'own lengths'}"


def _ratio(ratio: Ratio | None) -> str:
    """Nothing for the reference itself."""
    return str(ratio) if ratio is not None and ratio.low < ratio.high else ""


def _speed(standing: Standing) -> Entry:
    ratio = standing.cells[0].ratio if standing.cells else None
    if ratio is None:
        return Entry(NONE)
    return Entry(f"{ratio.value:.2f}", interval(ratio) if ratio.low < ratio.high else "", ratio.value)


def _drop(standing: Standing) -> Entry:
    if standing.drop_points is None:
        return Entry(NONE)
    drop = standing.drop
    note = ""
    if drop is not None:
        certain = "p < 0.001" if drop.p_value < 0.001 else f"p = {drop.p_value:.3f}"
        note = f"{drop.low_points:.2f} to {drop.high_points:.2f}, {certain}"
    return Entry(number(standing.drop_points, 1, 2), note, standing.drop_points)


def _milliseconds(value_ns: float | None) -> Entry:
    return Entry(milliseconds(value_ns), value=value_ns)


def _scaled(value: float | None, factor: float, digits: int) -> Entry:
    return Entry(number(value, factor, digits), value=value)
