"""Did this release get slower: the last run of one results file against that of another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import alike, disturbance
from bench.intervals import Ratio
from bench.leaderboard import rank, self_check
from bench.name import Name
from bench.standing import Judge, judge_of
from ftc.console import caution
from ftc.errors import InputError
from ftc.measurement import Candidate, Measurement, Run
from ftc.results_file import read_results

MATTERS = 0.05
"""Loss of speed that counts, where its interval excludes 1, too.

Two benches in a row may differ by more on a machine that others use (benchmarks/repeatability.py).
"""

Change = Literal["slower", "faster", "no difference shown"]

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Compared:
    """One candidate then and now.

    :param then: its speed against the anchor in the older run
    :param ratio: how many times as fast as then
    """

    name: str
    then: Ratio
    now: Ratio
    ratio: Ratio
    change: Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """:param anchor: the candidate that is the same in both runs, and that speed is taken against
    :param anchor_then_ns: its median time in the older run, and
    :param anchor_now_ns: in the newer one
    :param missing: candidates of one of the two runs only
    :param failed: candidates that were timed then and failed now, with the reason
    :param gone: the winner then, where the newer run has no candidate of its name
    :param changed: the anchor's runtime, if that has another version now
    :param versions: libraries that changed in between
    """

    then: str
    now: str
    anchor: str
    compared: tuple[Compared, ...]
    anchor_then_ns: float
    anchor_now_ns: float
    missing: tuple[str, ...]
    versions: tuple[str, ...]
    failed: tuple[tuple[str, str], ...] = ()
    gone: str | None = None
    changed: str | None = None

    @property
    def is_slower(self) -> bool:
        """Whether any candidate has become slower."""
        return any(compared.change == "slower" for compared in self.compared)

    @property
    def is_worse(self) -> bool:
        """Whether any candidate has become slower, or does not run any more, or the winner then is not there now."""
        return self.is_slower or bool(self.failed) or self.gone is not None


def compare(old: Path, new: Path) -> Comparison:
    """Compare the last runs of two results files, candidates by name, or as the same file.

    A machine's speed changes from one run to the next by more than releases do, so each candidate is compared by its
    speed against one that is the same in both, measured beside it. Intervals of the two runs are independent: the
    squares of their logarithms' widths add up. Slower is what has lost more than `MATTERS`, where the interval excludes
    1, too. What slows all alike, such as another version of a runtime, shows only in the anchor's own times.

    :raises InputError: if there is nothing to compare, a run was interrupted, or conditions differ
    """
    then, now = _last(old, "the older"), _last(new, "the newer")
    if then.id == now.id:
        raise InputError(
            f"the last run of {old} and that of {new} are the same, of {now.started}: "
            "measure the newer release first, with ftc bench --data FILE."
        )
    different = (*alike.differences(then.conditions, now.conditions), *disturbance.differences(then, now))
    if different:
        listed = "\n".join(f"  {line}" for line in different)
        raise InputError(f"{old} and {new} were made under unlike conditions and cannot be compared:\n{listed}")
    before, after = _judges(then, now, old, new)
    anchor = _anchor(before, after, old, new)
    runtime = anchor.runtime
    earlier = _ratios(before, anchor)
    older = _renamed(then, now)
    later = {older.get(name, name): ratio for name, ratio in _ratios(after, anchor).items()}
    compared = tuple(_compared(name, earlier[name], later[name]) for name in earlier if name in later)
    known = {older.get(name, name): measured for name, measured in _named(now).items()}
    failed = tuple((name, m.failure) for name, m in known.items() if m.failure and name in earlier)
    won = rank(then).winner
    gone = won.name if won is not None and won.name in earlier and won.name not in known else None
    if not (compared or failed or gone):
        raise InputError(f"no candidate but {anchor.name} has the same name in {old} and in {new}: nothing to compare.")
    return Comparison(
        then=then.started,
        now=now.started,
        anchor=anchor.name,
        compared=compared,
        anchor_then_ns=before.typical_ns(_of(then, anchor)),
        anchor_now_ns=after.typical_ns(_of(now, anchor)),
        missing=tuple(sorted((earlier.keys() ^ later.keys()) - {name for name, _ in failed})),
        versions=alike.versions(then.conditions, now.conditions),
        failed=failed,
        gone=gone,
        changed=None if alike.is_same_runtime(runtime, then.conditions, now.conditions) else runtime,
    )


def _judges(then: Run, now: Run, old: Path, new: Path) -> tuple[Judge, Judge]:
    """Of both runs, by the same kind of rounds: undisturbed in what both tell of their cores."""
    told = {old: disturbance.told(then), new: disturbance.told(now)}
    common = [kind for kind in told[old] if kind in told[new]]
    for run, path, blind in ((then, old, new), (now, new, old)):
        alone = [kind for kind in told[path] if kind not in common]
        if judge_of(run, alone).slowed:
            missing = ", ".join(alone)
            caution(
                f"{blind} has no readings, or too few, to tell in which rounds cores were slowed ({missing}): in both, "
                "such rounds count. Measure it again with a longer --time-budget."
            )
    return judge_of(then, common), judge_of(now, common)


def to_json(comparison: Comparison) -> str:
    """Everything as one JSON object."""
    told = TypeAdapter(Comparison).dump_python(comparison, mode="json")
    told |= {"is_slower": comparison.is_slower, "is_worse": comparison.is_worse}
    return TypeAdapter(dict).dump_json(told, indent=2).decode()


def show(comparison: Comparison, console: Console | None = None) -> None:
    """Print the table and what it is to be read with."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDTH)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("candidate")
    for heading in ("then", "now", "now / then", ""):
        table.add_column(heading, justify="right", overflow="fold")
    for one in comparison.compared:
        style = {"slower": "bold red", "faster": "green"}.get(one.change, "")
        table.add_row(Name(one.name), str(one.then), str(one.now), str(one.ratio), one.change, style=style)
    for name, _ in comparison.failed:
        table.add_row(Name(name), "", "", "", "failed", style="bold red")
    console.print(table)
    if comparison.gone is not None:
        told = f"{comparison.gone}, the winner then, is not among the candidates now: nothing is known of it"
        console.print(Text(told, style="bold red"), soft_wrap=True)
    if comparison.changed is not None:
        told = (
            f"{comparison.changed}, which runs {comparison.anchor}, has another version now: "
            "what it changed there is in every ratio"
        )
        console.print(Text(told, style="bold yellow"), soft_wrap=True)
    remarks = [
        *(f"{name} failed now: {reason}" for name, reason in comparison.failed),
        f"speed against {comparison.anchor}, which is the same in the run of {comparison.then} and in that of "
        f"{comparison.now}; slower is a loss of more than {MATTERS:.0%} whose interval excludes 1",
        f"{comparison.anchor} itself took {comparison.anchor_then_ns / 1e6:.2f} ms then and "
        f"{comparison.anchor_now_ns / 1e6:.2f} ms now, which says as much of the machine as of the release",
        *(f"changed since: {change}" for change in comparison.versions),
        *(f"not timed in both: {name}" for name in comparison.missing),
    ]
    for remark in remarks:
        console.print(Text(remark, style="dim"), soft_wrap=True)


def _last(path: Path, which: str) -> Run:
    runs = read_results(path)
    run = next((run for run in reversed(runs) if run.ended), None)
    if run is None:
        raise InputError(f"{path}, {which} of the two, holds no run that was measured to its end.")
    if runs[-1] is not run:
        raise InputError(
            f"the last run of {path}, {which} of the two, that of {runs[-1].started}, was interrupted: finish it with "
            f"ftc bench --resume -o {path} and the options of that run, or measure again."
        )
    if not run.is_complete:
        raise InputError(f"in the last run of {path}, that of {run.started}, every candidate failed.")
    check = self_check(judge_of(run))
    if check is not None and not check.passed:
        caution(f"the self-check of the run of {run.started} in {path} did not pass: no ratio to it is to be believed.")
    return run


def _anchor(before: Judge, after: Judge, old: Path, new: Path) -> Candidate:
    """The float export or the checkpoint, if it is the same file in both runs; rather one whose runtime is the same.

    An export's id says what it was made of and how; made by another version of the exporter it may be another file.
    """
    pairs = ((before.float_onnx, after.float_onnx), (before.root, after.root))
    same = [
        mine.candidate
        for mine, theirs in pairs
        if mine is not None and theirs is not None and mine.candidate.is_same_file(theirs.candidate)
    ]
    then, now = before.run.conditions, after.run.conditions
    same.sort(key=lambda one: not alike.is_same_runtime(one.runtime, then, now))
    if same:
        return same[0]
    raise InputError(
        f"{old} and {new} have no checkpoint or float export in common that speed could be taken against. "
        "Measure again with that of the older run among the candidates."
    )


def _of(run: Run, candidate: Candidate) -> Measurement:
    return next(known for known in run.measurements if known.candidate.id == candidate.id)


def _renamed(then: Run, now: Run) -> dict[str, str]:
    """The older names of candidates of the newer run that are the same file, where no other there has that name."""
    names, others = _named(then), _named(now)
    return {
        name: old
        for name, measured in others.items()
        for old, before in names.items()
        if name not in names and old not in others and before.candidate.is_same_file(measured.candidate)
    }


def _named(run: Run) -> dict[str, Measurement]:
    return {known.candidate.name: known for known in run.measurements if known.candidate.twin_of is None}


def _ratios(judge: Judge, anchor: Candidate) -> dict[str, Ratio]:
    reference = _of(judge.run, anchor)
    others = {name: known for name, known in _named(judge.run).items() if known is not reference}
    ratios = {name: judge.ratio(known, reference) for name, known in others.items()}
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}


def _compared(name: str, then: Ratio, now: Ratio) -> Compared:
    middle = np.log(now.value / then.value)
    below = np.hypot(np.log(now.value / now.low), np.log(then.high / then.value))
    above = np.hypot(np.log(now.high / now.value), np.log(then.value / then.low))
    ratio = Ratio(float(np.exp(middle)), float(np.exp(middle - below)), float(np.exp(middle + above)))
    change: Change = "no difference shown"
    if ratio.is_slower and ratio.value < 1 - MATTERS:
        change = "slower"
    elif ratio.is_faster and ratio.value > 1 + MATTERS:
        change = "faster"
    return Compared(name, then, now, ratio, change)
