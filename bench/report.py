"""The leaderboard as a table for people and as one JSON object for machines."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.leaderboard import Leaderboard
from bench.standing import Standing
from bench.statistics import P90_FLOOR, Ratio
from ftc.foreign.files import is_foreign
from ftc.measurement import Conditions, Form

_WIDTH = 100
"""Columns for a table that goes into a file or a pipe."""

_REFERENCE = "x\n{}"
"""Of the column with the ratio to the root; named after what runs that."""

_HEADINGS = (
    "size\nMB",
    "p50\nms",
    "p90\nms",
    "x float\nONNX",
    _REFERENCE,
    "rows\n/s",
    "accuracy",
    "drop\npoints",
    "RAM\nMB",
    "load\ns",
)


_FORMS: dict[Form, str] = {"text": "single texts", "pair": "pairs of texts", "image": "images"}


def to_json(board: Leaderboard) -> str:
    """Everything but the raw samples, which are in the results file."""
    return TypeAdapter(Leaderboard).dump_json(board, indent=2).decode()


_LIBRARIES = {"litert": "ai-edge-litert"}
"""What brings a runtime, where that has another name."""


def show(board: Leaderboard, artifacts: Path, console: Console | None = None) -> None:
    """Print the table, the winner, why the others lost, the conditions, and what to do next."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDTH)
    console.print(_table(board))
    for standing in board.standings:
        won = standing.verdict == "winner"
        line = f"{standing.candidate.name}: {board.reason if won else standing.reason}"
        console.print(Text(f"winner  {line}" if won else f"        {line}"), soft_wrap=True)
    remarks = [f"no winner: {board.reason}"] if board.winner is None else []
    if board.float_onnx_absent is not None:
        remarks.append(f"no ratio to float ONNX: {board.float_onnx_absent}")
    if board.root_absent is not None:
        remarks.append(board.root_absent)
    if any(standing.p50_ns is not None and standing.p90_ns is None for standing in board.standings):
        remarks.append(f"no p90: it needs at least {P90_FLOOR} samples; give more rows or a longer --time-budget")
    for remark in remarks:
        console.print(Text(remark), soft_wrap=True)
    for remark in _conditions(board):
        console.print(Text(remark, style="dim"), soft_wrap=True)
    if board.winner is not None and board.winner.format != "keras" and not is_foreign(Path(board.winner.path)):
        elsewhere = f" --artifacts {artifacts}" if artifacts != Path("artifacts") else ""
        console.print(Text(f"next: ftc package{elsewhere}"), soft_wrap=True)


def _table(board: Leaderboard) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("candidate", overflow="fold")
    root = next((standing.candidate.runtime for standing in board.standings if standing.candidate.is_root), "torch")
    for heading in _HEADINGS:
        name = board.main_metric if heading == "accuracy" else heading.format(root)
        table.add_column(name, justify="right", overflow="fold")
    for standing in board.standings:
        style = {"winner": "bold green", "failed": "dim"}.get(standing.verdict, "")
        table.add_row(standing.candidate.name, *_cells(standing, board.main_metric), style=style)
    return table


def _cells(standing: Standing, metric: str) -> tuple[str, ...]:
    root_ratio = standing.ratio_to_root
    return (
        _number(standing.candidate.size_bytes, 1e-6, 1),
        _number(standing.p50_ns, 1e-6, 2),
        _number(standing.p90_ns, 1e-6, 2),
        _interval(standing.ratio_to_float_onnx),
        f"{root_ratio.value:.2f}" if root_ratio is not None else "-",
        _number(standing.rows_per_second, 1, 0),
        _number(standing.metrics.get(metric), 1, 4),
        _number(standing.drop_points, 1, 2),
        _number(standing.peak_rss_bytes, 1e-6, 0),
        _number(standing.load_ns, 1e-9, 2),
    )


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{value * factor + 0.0:.{digits}f}"


def _interval(ratio: Ratio | None) -> str:
    return "-" if ratio is None else f"{ratio.value:.2f}\n{ratio.low:.2f}-{ratio.high:.2f}"


def _counted(number: float, what: str) -> str:
    return f"{number:.9g} {what}{'' if number == 1 else 's'}"


def _sizes(conditions: Conditions) -> str:
    median, longest = conditions.lengths
    if conditions.form == "image":
        return f"{median} pixels" if median == longest else f"{median} (median) to {longest} pixels"
    return f"length {median} (median) to {longest}"


def _conditions(board: Leaderboard) -> tuple[str, str]:
    conditions = board.conditions
    machine, data = conditions.machine, conditions.data
    quota = f", quota of {_counted(machine.cpu_quota, 'core')}" if machine.cpu_quota is not None else ""
    load = f", {machine.busy_cores:.1f} cores busy with other work at the start"
    rows = f"{_counted(data.rows, 'row')} of {data.source}" if data is not None else "no data"
    form = f" ({_FORMS[conditions.form]})" if conditions.form is not None else ""
    runtimes = dict.fromkeys(standing.candidate.runtime for standing in board.standings)
    libraries = [_LIBRARIES.get(runtime, runtime) for runtime in runtimes]
    versions = [f"{name} {machine.versions[name]}" for name in libraries if name in machine.versions]
    vectors = ", ".join(machine.instructions) or "no vector extensions known"
    return (
        f"{machine.cpu} ({vectors}), {_counted(conditions.threads, 'thread')} on "
        f"{_counted(machine.cores, 'core')}{quota}{load}, {', '.join(versions)}",
        f"{rows}{form}; {conditions.timed_examples} timed, {_sizes(conditions)}; throughput in "
        f"batches of {conditions.batch_size}; ratios at batch 1 with 95 % intervals; seed {conditions.seed}",
    )
