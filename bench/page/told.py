"""A run as sections of the page, each made by one function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import alike, described
from bench.leaderboard import Leaderboard, rank
from bench.page import conditions, groups, headline, lineage, reproduce, ridges, scatter, table
from bench.page.groups import Found, Gathered
from bench.page.view import Group, OtherRun, Page, RunView, Section, State
from bench.standing import judge_of
from ftc import __version__
from ftc.console import counted
from ftc.measurement import Run


def page(found: Sequence[Found], base: Path, more: Sequence[Section] = ()) -> Page:
    """The whole view.

    :param found: runs of each file in the order of the file, at least one
    :param base: the directory that the commands on the page are for
    :param more: sections of the run that began last
    """
    gathered = groups.gather(found)
    latest = max((one.run for one in found), key=lambda run: run.started)
    made = tuple(
        _group(number, group, gathered, base, {latest.id: more}) for number, group in enumerate(gathered, start=1)
    )
    names = dict.fromkeys(_subject(one.run) for group in gathered for one in group.shown)
    return Page(", ".join(names), __version__, made)


def _group(
    number: int, group: Gathered, every: Sequence[Gathered], base: Path, more: Mapping[str, Sequence[Section]]
) -> Group:
    first = group.shown[0].run
    title = f"Conditions {number} of {len(every)}: {_subject(first)}" if len(every) > 1 else ""
    differs = groups.differences(first, every[0].shown[0].run) if number > 1 else ()
    runs = tuple(
        _told(one, f"r{number}-{place}", base, more.get(one.run.id, ()), _versions(one.run, first))
        for place, one in enumerate(group.shown, start=1)
    )
    return Group(title, differs, runs, tuple(_other(one) for one in group.others))


def _versions(run: Run, first: Run) -> tuple[str, ...]:
    """What has another version than in the first run of the section."""
    changed = alike.versions(first.conditions, run.conditions)
    return (f"other versions than in the run of {first.started}: {', '.join(changed)}",) if changed else ()


def _told(one: Found, id: str, base: Path, more: Sequence[Section], versions: Sequence[str]) -> RunView:
    run, board = one.run, rank(one.run)
    known = judge_of(run).reference
    reference = known.candidate if known is not None else None
    name = reference.name if reference is not None else None
    return RunView(
        id=id,
        started=run.started,
        source=one.source,
        state=_state(run),
        headline=headline.headline(run, board, reference),
        remarks=(*described.remarks(board), *versions),
        sections=(*_sections(run, board, name, base), *more),
    )


def _sections(run: Run, board: Leaderboard, reference: str | None, base: Path) -> Iterator[Section]:
    if run.cautions:
        yield Section("cautions", "Cautions", run.cautions)
    yield _scatter(board, reference, ended=run.ended)
    spread = ridges.ridges(run, board)
    if spread is not None:
        note = "Each curve is as high as the others; the line marks the median, the dot the 90th percentile."
        yield Section("ridges", "Latency distributions", spread, note + _of_batches(board))
    yield Section(
        "table", "Leaderboard", table.leaderboard(board, reference, ended=run.ended), _ranked(run, board, reference)
    )
    if board.conditions.is_grid:
        note = "Median time of a call in each cell that was timed, and speed against the reference in it."
        yield Section("table", "Batch sizes and lengths", table.grid(board, ended=run.ended), note)
    yield Section("lineage", "Lineage", lineage.lineage(board))
    yield Section("conditions", "Conditions", conditions.conditions(run, board))
    note = (
        "Options that name columns, labels, a split, a task, a processor or a tokenizer, --root, --time-limit and -o "
        "are not recorded; add them if they were given."
    )
    if run.choice is not None and reproduce.is_of_part(run):
        note += " The rows are those that ftc optimize set apart; this command takes all, among them rows that tuned."
    if run.choice is not None and run.conditions.gpu is not None:
        note += " Of each candidate ftc optimize measured the best ways alone; this command measures all."
    yield Section("reproduce", "Reproduce", reproduce.command(run, base), note)


def _scatter(board: Leaderboard, reference: str | None, *, ended: bool) -> Section:
    made = scatter.scatter(board, ended=ended)
    title = "Accuracy and latency"
    if made is None:
        return Section("absent", title, "No accuracy is known beside a time: measure with labelled rows, --data FILE.")
    return Section(
        "scatter",
        title,
        made,
        f"Bars are 95 % intervals of the difference to the reference: across of speed against {reference}, upright of "
        "the drop in accuracy, in pairs of the same example. The line joins what nothing else beats in both.",
    )


def _ranked(run: Run, board: Leaderboard, reference: str | None) -> str:
    """How the ranking came about."""
    chosen = "A search chose the winner by all that it was asked for. " if run.choice is not None else ""
    budget = f"within {counted(board.max_drop_points, 'point')} of the checkpoint's {board.main_metric}"
    tested = any(standing.drop is not None for standing in board.standings)
    exact = "; p is McNemar's exact test that neither answers better" if tested else ""
    ranked = f"Ranked by speed against {reference}" if reference is not None else "To be ranked by speed"
    return f"{chosen}{ranked}, {budget}. Smaller type: 95 % intervals{exact}.{_of_batches(board)}"


def _of_batches(board: Leaderboard) -> str:
    """Why times stand beside each other that say nothing of each other."""
    if board.conditions.scenario != "Offline":
        return ""
    return " Times are of whole batches, of each candidate's own best size: compare speed and throughput."


def _other(one: Found) -> OtherRun:
    board = rank(one.run)
    outcome = f"{board.winner.name}: {board.reason}" if board.winner is not None else board.reason
    return OtherRun(
        one.run.started,
        one.source,
        _state(one.run),
        len(one.run.measurements),
        outcome if one.run.ended else "no winner is named",
    )


def _state(run: Run) -> State:
    return "complete" if run.ended else "interrupted"


def _subject(run: Run) -> str:
    """The checkpoint's name, or else the first candidate's."""
    for known in run.measurements:
        if known.candidate.is_root:
            return known.candidate.name
        if known.candidate.lineage:
            return known.candidate.lineage[0].name
    return run.measurements[0].candidate.name if run.measurements else run.root_id
