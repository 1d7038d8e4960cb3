"""The command that measures the same again, put together from what a run has recorded of itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from bench.options import Options
from ftc.measurement import Conditions, Run

_DEFAULTS = Options()


def command(run: Run, base: Path) -> str:
    """`ftc bench` with these candidates and options, one on each line.

    :param base: the directory that the command is for; paths in it are written from there
    """
    measured = [known.candidate for known in run.measurements]
    lines = ["ftc bench", *dict.fromkeys(_path(one.path, base) for one in measured if one.twin_of is None)]
    conditions = run.conditions
    if conditions.device != _DEFAULTS.device:
        lines.append(f"--device {shlex.quote(conditions.device)}")
    if conditions.data is not None:
        lines.append(f"--data {_path(conditions.data.source, base)}")
        if is_of_part(run) and run.choice is None:
            lines.append(f"--limit {conditions.data.rows}")
    lines += _scenario(conditions)
    lines.append(f"--max-drop {run.max_drop_points / 100:g} --threads {conditions.threads} --seed {conditions.seed}")
    if any(one.twin_of is not None for one in measured):
        lines.append("--self-check")
    lines.append(f"--precision {'none' if run.precision is None else f'{100 * run.precision:g}%'}")
    if run.time_budget_s is not None:
        lines.append(f"--time-budget {run.time_budget_s:g}s")
    return " \\\n  ".join(lines)


def is_of_part(run: Run) -> bool:
    """Whether the rows were a part of the data's."""
    return run.conditions.data is not None and ":" in run.conditions.data.fingerprint


def _scenario(conditions: Conditions) -> list[str]:
    if conditions.arrivals is not None:
        arrivals = conditions.arrivals
        return [f"--scenario server --rate {arrivals.rate_per_s:g} --latency-bound {arrivals.bound_ms:g}"]
    if conditions.scenario == "Offline":
        return ["--scenario offline"]
    lines = []
    batch = conditions.cells[conditions.throughput_cell].batch_size
    grid = conditions.cells[conditions.throughput_cell + 1 :]
    if batch != _DEFAULTS.batch_size:
        lines.append(f"--batch-size {batch}")
    if grid:
        lines.append(f"--batch-sizes {_listed(cell.batch_size for cell in grid)}")
    if any(cell.length is not None for cell in grid):
        lines.append(f"--lengths {_listed(cell.length for cell in grid)}")
    return lines


def _listed(numbers: Iterable[int | None]) -> str:
    return ",".join(str(number) for number in dict.fromkeys(numbers))


def _path(text: str, base: Path) -> str:
    path = Path(text)
    return shlex.quote(str(path.relative_to(base)) if path.is_absolute() and path.is_relative_to(base) else text)
