"""Going on with a run that was interrupted: everything that it had written down counts."""

from __future__ import annotations

from pathlib import Path

from bench import alike, cores, yardstick
from bench.log import Log
from ftc.console import say
from ftc.errors import InputError
from ftc.measurement import Measurement, Run
from ftc.records import Resumed, RunBegun
from ftc.results_file import read_results


def check(path: Path | None) -> None:
    """:raises InputError: if there is no results file to go on with"""
    if path is None or not path.is_file():
        absent = f"{path} is no file" if path is not None else "no results are kept here"
        raise InputError(
            f"there is nothing to go on with: {absent}. Name the file of that run with -o, or leave --resume out."
        )


def log(start: RunBegun, path: Path) -> Log:
    """The log of the last run in a results file, if that run is the one that would begin now.

    :param start: how the run would begin now
    :raises InputError: if the last run was not interrupted, or it was of other candidates or under other conditions
    """
    runs = read_results(path)
    if not runs:
        raise InputError(f"{path} holds no run to go on with: leave --resume out.")
    if runs[-1].ended:
        raise InputError(f"the last run in {path} was measured to its end: leave --resume out for a new one.")
    run = runs[-1]
    different = _different(run, start)
    if different:
        listed = "\n".join(f"  {line}" for line in different)
        raise InputError(
            f"the run of {run.started} in {path} was made under other conditions, so it cannot be gone on with:\n"
            f"{listed}\nLeave --resume out for a new run, or give the same options as then."
        )
    turns = max((len(known.turns) for known in run.measurements), default=0)
    say(f"going on with the run of {run.started}, which had {turns} rounds")
    log = Log(run, path)
    log.add(Resumed(run.id, start.precision, start.time_budget_s))
    return log


def has_failed(known: Measurement, limit_s: float) -> bool:
    """Whether a candidate stays out of the run: one that hung is tried again where it may take longer now.

    :param limit_s: what it may take for one answer
    """
    return known.failure is not None and (known.hung_after_s is None or limit_s <= known.hung_after_s)


def _different(run: Run, start: RunBegun) -> tuple[str, ...]:
    then = tuple(known.candidate for known in run.measurements)
    different = [
        *alike.differences(run.conditions, start.conditions),
        *alike.versions(run.conditions, start.conditions),
    ]
    if {one.id for one in then} != {one.id for one in start.candidates}:
        names = [", ".join(sorted(one.name for one in side)) for side in (then, start.candidates)]
        different.append(f"candidates: {names[0]} then, {names[1]} now")
    known = {one.id: one for one in then}
    different += [
        f"content of {one.name}: it was made anew since"
        for one in start.candidates
        if one.id in known and not one.is_same_file(known[one.id])
    ]
    if run.conditions.cells != start.conditions.cells and run.conditions.cells[0] == start.conditions.cells[0]:
        different.append("the grid of batch sizes and lengths")
    if gone := cores.lost(run.conditions.pinned_cores):
        different.append(f"cores that candidates were held to: this process may not use {', '.join(map(str, gone))}")
    read = {len(turn.core_ns) for known in run.measurements for turn in known.turns if turn.core_ns}
    if run.conditions.pinned_cores and read - {len(yardstick.read_of(run.conditions.pinned_cores))}:
        different.append("version of ftc: it looked at other cores")
    if run.max_drop_points != start.max_drop_points:
        different.append(f"--max-drop: {run.max_drop_points / 100:g} then, {start.max_drop_points / 100:g} now")
    return tuple(different)
