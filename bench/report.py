"""The leaderboard as a table for people and as one JSON object for machines."""

from __future__ import annotations

import itertools
from pathlib import Path

from pydantic import TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.intervals import Ratio
from bench.leaderboard import Leaderboard
from bench.standing import Standing
from bench.statistics import floor
from ftc.foreign.files import is_foreign
from ftc.measurement import Cell, Conditions, Form

_WIDTH = 100
"""Columns for a table that goes into a file or a pipe."""

_USUAL_CELLS = 2
"""Latency and throughput, which are in the table itself."""

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


_FORMS: dict[Form, str] = {"text": "single texts", "pair": "pairs of texts", "image": "images"}


def to_json(board: Leaderboard) -> str:
    """Everything but the raw samples, which are in the results file."""
    return TypeAdapter(Leaderboard).dump_json(board, indent=2).decode()


_LIBRARIES = {"litert": ("ai-edge-litert",), "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "tensorrt")}
"""What brings a runtime, where that has another name, or several."""


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
    remarks += _empty(board)
    if board.self_check is not None:
        remarks.append(f"self-check: {board.self_check}")
    for standing in board.standings:
        remarks += [f"{standing.candidate.name}: {collapse}" for collapse in standing.collapsed]
    if len(board.conditions.cells) > _USUAL_CELLS:
        console.print(_grid(board))
    for remark in remarks:
        console.print(Text(remark), soft_wrap=True)
    for remark in _conditions(board):
        console.print(Text(remark, style="dim"), soft_wrap=True)
    on_cpu = board.conditions.gpu is None  # services run there
    if (
        on_cpu
        and board.winner is not None
        and board.winner.format != "keras"
        and not is_foreign(Path(board.winner.path))
    ):
        elsewhere = f" --artifacts {artifacts}" if artifacts != Path("artifacts") else ""
        console.print(Text(f"next: ftc package{elsewhere}"), soft_wrap=True)


def _table(board: Leaderboard) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("candidate", overflow="fold")
    root = next((standing.candidate.runtime for standing in board.standings if standing.candidate.is_root), "torch")
    shown = _shown(board)
    for heading in itertools.compress(_HEADINGS, shown):
        name = board.main_metric if heading == "accuracy" else heading.format(root)
        table.add_column(name, justify="right", overflow="fold")
    for standing in board.standings:
        style = {"winner": "bold green", "failed": "dim"}.get(standing.verdict, "")
        cells = itertools.compress(_cells(standing, board.main_metric), shown)
        table.add_row(standing.candidate.name, *cells, style=style)
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
    table.add_column("candidate", overflow="fold")
    for cell in board.conditions.cells:
        table.add_column(_cell_name(cell), justify="right", overflow="fold")
    for standing in board.standings:
        if standing.cells:
            shown = (f"{cell.p50_ns / 1e6:.2f} ms\n{_interval(cell.ratio)}" for cell in standing.cells)
            table.add_row(standing.candidate.name, *shown)
    return table


def _cell_name(cell: Cell) -> str:
    rows = f"batch {cell.batch_size}" if cell.batch_size is not None else "best batch"
    return f"{rows}\n{f'{cell.length} tokens' if cell.length is not None else 'own lengths'}"


def _empty(board: Leaderboard) -> list[str]:
    """Why cells of the table are empty."""
    timed = [standing for standing in board.standings if standing.p50_ns is not None]
    remarks = []
    for percentile, known in ((90, [s.p90_ns for s in timed]), (99, [s.p99_ns for s in timed])):
        if any(value is None for value in known):
            fewest = min(standing.samples for standing in timed)
            remarks.append(
                f"no p{percentile}: it needs at least {floor(percentile)} samples, there are {fewest}; "
                "give more rows, a longer --time-budget, or a finer --precision"
            )
    return remarks


def _cells(standing: Standing, metric: str) -> tuple[str, ...]:
    root_ratio = standing.ratio_to_root
    return (
        _number(standing.candidate.size_bytes, 1e-6, 1),
        _number(standing.p50_ns, 1e-6, 2),
        _number(standing.p90_ns, 1e-6, 2),
        _number(standing.p99_ns, 1e-6, 2),
        _interval(standing.ratio_to_float_onnx),
        f"{root_ratio.value:.2f}" if root_ratio is not None else "-",
        _number(standing.rows_per_second, 1, 0),
        _number(standing.metrics.get(metric), 1, 4),
        _drop(standing),
        _number(standing.peak_rss_bytes, 1e-6, 0),
        _number(standing.load_ns, 1e-9, 2),
        _number(standing.peak_gpu_bytes, 1e-6, 0),
        _number(standing.power_w, 1, 0),
    )


def _drop(standing: Standing) -> str:
    point = _number(standing.drop_points, 1, 2)
    if standing.drop is None:
        return point
    return f"{point}\n{standing.drop.low_points:.1f}..{standing.drop.high_points:.1f}"


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


def _around(board: Leaderboard) -> str:
    """What is paid besides the model, by the candidates that can tell."""
    parts = []
    for what, values in (
        ("encoding", [standing.encode_p50_ns for standing in board.standings]),
        ("decoding", [standing.decode_p50_ns for standing in board.standings]),
        ("first call", [standing.first_call_ns for standing in board.standings]),
    ):
        known = sorted(value / 1e6 for value in values if value is not None)
        if known:
            parts.append(f"{what} {known[0]:.2f}" + (f" to {known[-1]:.2f} ms" if len(known) > 1 else " ms"))
    return f"besides the model: {', '.join(parts)}" if parts else "nothing is known of encoding and decoding"


def _resolved(board: Leaderboard) -> str:
    data, points = board.conditions.data, board.resolvable_points
    if data is None or points is None:
        return ""
    return f"; {_counted(data.rows, 'row')} cannot tell drops under {points:.1f} points"


def _scenario(conditions: Conditions) -> str:
    if conditions.arrivals is not None:
        arrivals = conditions.arrivals
        return f"Server: {arrivals.rate_per_s:g} queries/s by chance, bound {arrivals.bound_ms:g} ms, waiting included"
    if conditions.scenario == "Offline":
        return "Offline: each candidate in its own best batch size; p50 of a batch, ratios of rows in a second"
    batch = conditions.cells[min(1, len(conditions.cells) - 1)]
    return f"SingleStream: ratios at batch 1; throughput in batches of {batch.batch_size}"


def _conditions(board: Leaderboard) -> tuple[str, ...]:
    conditions = board.conditions
    machine, data = conditions.machine, conditions.data
    quota = f", quota of {_counted(machine.cpu_quota, 'core')}" if machine.cpu_quota is not None else ""
    load = f", {machine.busy_cores:.1f} cores busy with other work at the start"
    rows = f"{_counted(data.rows, 'row')} of {data.source}" if data is not None else "no data"
    form = f" ({_FORMS[conditions.form]})" if conditions.form is not None else ""
    runtimes = dict.fromkeys(standing.candidate.runtime for standing in board.standings)
    libraries = [name for runtime in runtimes for name in _LIBRARIES.get(runtime, (runtime,))]
    versions = [f"{name} {machine.versions[name]}" for name in libraries if name in machine.versions]
    vectors = ", ".join(machine.instructions) or "no vector extensions known"
    cores = conditions.pinned_cores
    pinned = f", held to {'core' if len(cores) == 1 else 'cores'} {', '.join(map(str, cores))}" if cores else ""
    rounds = max((standing.rounds for standing in board.standings), default=0)
    gpu = f"{conditions.gpu}; " if conditions.gpu is not None else ""
    return (
        f"{gpu}{machine.cpu} ({vectors}), {_counted(conditions.threads, 'thread')} on "
        f"{_counted(machine.cores, 'core')}{pinned}{quota}{load}, {', '.join(versions)}",
        f"{rows}{form}{_resolved(board)}; {conditions.timed_examples} timed, {_sizes(conditions)}",
        f"{_scenario(conditions)}; {_counted(rounds, 'round')}, 95 % intervals; seed {conditions.seed}",
        _around(board),
    )
