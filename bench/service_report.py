"""What was found about a service, as a table for people and as JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import results
from bench.asking import USUAL_SHARE
from bench.loads import Load
from bench.service import ServiceRun
from bench.statistics import floor
from ftc.errors import InputError
from ftc.records import SCHEMA

_WIDTH = 100


def to_values(run: ServiceRun) -> dict[str, Any]:
    """Everything but the raw samples, as JSON values."""
    values: dict[str, Any] = TypeAdapter(ServiceRun).dump_python(run, mode="json", exclude={"turns"})
    return values


def check(path: Path) -> None:
    """:raises InputError: if something else than results of services stands at `path`"""
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline()
            is_ours = not line or json.loads(line)["kind"] == "service"  # empty after a run that was interrupted
    except FileNotFoundError:
        return
    except (OSError, ValueError, LookupError, TypeError):
        is_ours = False
    if not is_ours:
        raise InputError(f"{path} holds something else than results of services; choose another place with -o.")


def write(run: ServiceRun, path: Path) -> None:
    """Append the run with its raw samples as one line of JSON.

    :raises RunError: if it cannot be written
    """
    values = {"kind": "service", "schema": SCHEMA, **TypeAdapter(ServiceRun).dump_python(run, mode="json")}
    results.append_line(json.dumps(values).encode() + b"\n", path)


def show(run: ServiceRun, about: dict[str, Any], console: Console | None = None) -> None:
    """Print the table, the overhead, why cells are empty, and the conditions."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDTH)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("asked by")
    for heading in ("requests\n/s", "p50\nms", "p90\nms", "p99\nms", "samples", "errors"):
        table.add_column(heading, justify="right")
    for load in run.loads:
        percentiles = (_ms(load.p50_ns), _ms(load.p90_ns), _ms(load.p99_ns))
        table.add_row(_name(load), f"{load.per_second:.0f}", *percentiles, str(load.samples), str(load.errors))
    for line in _models(run, about):
        console.print(Text(line), soft_wrap=True)
    console.print(table)
    for remark in (*_overhead(run), *_remarks(run)):
        console.print(Text(remark), soft_wrap=True)
    for remark in _conditions(run):
        console.print(Text(remark, style="dim"), soft_wrap=True)


def _models(run: ServiceRun, about: dict[str, Any]) -> list[str]:
    """The model at that address; of two, each with what it does."""
    variants = about.get("variants") or [about]
    lines = [f"{variants[0]['name']} at {run.url}, run by {variants[0]['runtime']}"]
    for other in variants[1:]:
        does = (
            f"answers {other['share']:.2%} of the requests" if other["role"] == "ab" else "answers copies, as a shadow"
        )
        lines.append(f"beside it {other['name']}, run by {other['runtime']}, which {does}")
    return lines


def _name(load: Load) -> str:
    return load.name if load.rate_per_s is None else f"{load.name}, {load.rate_per_s:.0f} a second"


def _ms(value_ns: float | None) -> str:
    return "-" if value_ns is None else f"{value_ns / 1e6:.2f}"


def _overhead(run: ServiceRun) -> list[str]:
    overhead = run.overhead
    if overhead is None:
        return ["no bare session beside it: name the artifact that the service holds, or a Bento, to see the overhead"]
    times = f", {overhead.ratio} its time" if overhead.ratio is not None else ", too few rounds for an interval"
    threads = f"{run.threads} thread{'s' if run.threads != 1 else ''}"
    return [
        f"overhead of a request from one client: {overhead.p50_ns / 1e6:.2f} ms over the bare session with {threads}, "
        f"in pairs of the same rows in the same round{times}; of that a row's encoding "
        f"{overhead.encode_p50_ns / 1e6:.2f} ms, decoding {overhead.decode_p50_ns / 1e6:.2f} ms"
    ]


def _remarks(run: ServiceRun) -> list[str]:
    remarks = []
    for load in run.loads:
        bad = {status: count for status, count in load.statuses.items() if status != 200}
        if load.errors:
            told = ", ".join(f"{count} x {status}" for status, count in sorted(bad.items()))
            broken = load.errors - sum(bad.values())
            told += f"{', ' if told and broken else ''}{f'{broken} without a right answer' if broken else ''}"
            remarks.append(f"{_name(load)}: {load.errors} errors ({told}), which no percentile counts")
    for percentile, values in ((90, [load.p90_ns for load in run.loads]), (99, [load.p99_ns for load in run.loads])):
        if any(value is None for value in values):
            fewest = min(load.samples for load in run.loads)
            remarks.append(
                f"no p{percentile} where it is empty: it needs at least {floor(percentile)} samples, there are "
                f"{fewest}; give a longer --time-budget"
            )
    return remarks


def _conditions(run: ServiceRun) -> tuple[str, ...]:
    machine, data = run.machine, run.data
    source = f"{data.rows} rows of {data.source}" if data is not None else "golden examples"
    rows = f"{run.rows} row{'s' if run.rows != 1 else ''}"
    pace = f"at {USUAL_SHARE:.0%} of what the clients had reached until then, " if run.follows_clients else ""
    return (
        f"clients on {machine.cpu}, {machine.cores} cores, {machine.busy_cores:.1f} of them busy with other work "
        "at the start; a service on the same machine shares them with its clients",
        f"{run.requests} requests of {rows} from {source}; {run.rounds} shuffled rounds; by chance: a Poisson process, "
        f"{pace}latency from the intended arrival; seed {run.seed}",
    )
