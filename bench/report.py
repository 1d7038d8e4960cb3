"""The leaderboard as a table for people and as one JSON object for machines."""

from __future__ import annotations

import itertools
from pathlib import Path

from pydantic import TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import described
from bench.intervals import Ratio
from bench.leaderboard import Leaderboard
from bench.name import Name
from bench.standing import Standing
from ftc.foreign.files import is_foreign
from ftc.measurement import Cell

_WIDTH = 100
"""Columns for a table that goes into a file or a pipe."""

_REFERENCE = "x\n{}"
"""Of the column with the ratio to the root; named after what runs that."""

_HEADINGS = (
    "size\nMB",
    "p50\nms",
    "p90\nms",
    "p99\nms",
    "x float\nONNX",
    _REFERENCE,
    "rows\n/s",
    "accuracy",
    "drop\npoints",
    "RAM\nMB",
    "load\ns",
    "GPU\nMB",
    "power\nW",
)


def to_json(board: Leaderboard) -> str:
    """Everything but the raw samples, which are in the results file."""
    return TypeAdapter(Leaderboard).dump_json(board, indent=2).decode()


def show(
    board: Leaderboard,
    artifacts: Path | None,
    console: Console | None = None,
    *,
    is_kept: bool = True,
    with_cells: bool = False,
) -> None:
    """Print the table, the winner, why the others lost, the conditions, and what to do next.

    :param artifacts: where a winner is packaged from; None to leave the next step to the caller
    :param is_kept: whether the run is the ranking of these artifacts; else the winner must be named
    :param with_cells: whether each cell is told of even where there are no others than latency's and throughput's
    """
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDTH)
    console.print(_table(board))
    for standing in board.standings:
        won = standing.verdict == "winner"
        line = f"{standing.candidate.name}: {board.reason if won else standing.reason}"
        console.print(Text(f"winner  {line}" if won else f"        {line}"), soft_wrap=True)
    remarks = [f"no winner: {board.reason}"] if board.winner is None else []
    remarks += described.remarks(board)
    if board.conditions.is_grid or with_cells:
        console.print(_grid(board))
    for remark in remarks:
        console.print(Text(remark), soft_wrap=True)
    for remark in described.under(board):
        console.print(Text(remark, style="dim"), soft_wrap=True)
    on_cpu = board.conditions.gpu is None  # services run there
    if (
        artifacts is not None
        and on_cpu
        and board.winner is not None
        and board.winner.format != "keras"
        and not is_foreign(Path(board.winner.path))
    ):
        elsewhere = f" --artifacts {artifacts}" if artifacts != Path("artifacts") else ""
        named = "" if is_kept else f" {board.winner.path}"
        console.print(Text(f"next: ftc package{named}{elsewhere}"), soft_wrap=True)


def _table(board: Leaderboard) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("candidate")
    root = next((standing.candidate.runtime for standing in board.standings if standing.candidate.is_root), "torch")
    shown = _shown(board)
    for heading in itertools.compress(_HEADINGS, shown):
        name = board.main_metric if heading == "accuracy" else heading.format(root)
        table.add_column(name, justify="right", overflow="fold")
    for standing in board.standings:
        style = {"winner": "bold green", "failed": "dim"}.get(standing.verdict, "")
        cells = itertools.compress(_cells(standing, board.main_metric), shown)
        table.add_row(Name(standing.candidate.name), *cells, style=style)
    return table


def _shown(board: Leaderboard) -> list[bool]:
    """Which columns there is something to say in."""
    told = {
        "p99\nms": any(standing.p99_ns for standing in board.standings),
        "GPU\nMB": any(standing.peak_gpu_bytes for standing in board.standings),
        "power\nW": any(standing.power_w for standing in board.standings),
    }
    return [told.get(heading, True) for heading in _HEADINGS]


def _grid(board: Leaderboard) -> Table:
    """Every cell that was timed: time of a call, rows in a second, and speed against the reference."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("candidate")
    for cell in board.conditions.cells:
        table.add_column(_cell_name(cell), justify="right", overflow="fold")
    for standing in board.standings:
        if standing.cells:
            shown = (f"{cell.p50_ns / 1e6:.2f} ms\n{_interval(cell.ratio)}" for cell in standing.cells)
            table.add_row(Name(standing.candidate.name), *shown)
    return table


def _cell_name(cell: Cell) -> str:
    rows = f"batch {cell.batch_size}" if cell.batch_size is not None else "best batch"
    return f"{rows}\n{f'{cell.length} tokens' if cell.length is not None else 'own lengths'}"


def _cells(standing: Standing, metric: str) -> tuple[str, ...]:
    return (
        _number(standing.candidate.size_bytes, 1e-6, 1),
        _number(standing.p50_ns, 1e-6, 2),
        _number(standing.p90_ns, 1e-6, 2),
        _number(standing.p99_ns, 1e-6, 2),
        _interval(standing.ratio_to_float_onnx),
        _to_root(standing),
        _number(standing.rows_per_second, 1, 0),
        _number(standing.metrics.get(metric), 1, 4),
        _drop(standing),
        _number(standing.peak_rss_bytes, 1e-6, 0),
        _number(standing.load_ns, 1e-9, 2),
        _number(standing.peak_gpu_bytes, 1e-6, 0),
        _number(standing.power_w, 1, 0),
    )


def _to_root(standing: Standing) -> str:
    """With its interval where it is the only ratio."""
    ratio = standing.ratio_to_root
    return _interval(ratio) if ratio is None or standing.ratio_to_float_onnx is None else f"{ratio.value:.2f}"


def _drop(standing: Standing) -> str:
    point = _number(standing.drop_points, 1, 2)
    if standing.drop is None:
        return point
    return f"{point}\n{standing.drop.low_points:.1f}..{standing.drop.high_points:.1f}"


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{value * factor + 0.0:.{digits}f}"


def _interval(ratio: Ratio | None) -> str:
    return "-" if ratio is None else f"{ratio.value:.2f}\n{ratio.low:.2f}-{ratio.high:.2f}"
