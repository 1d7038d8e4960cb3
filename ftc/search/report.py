"""The page about a search: that of its final measurement, with all that was tried and what was predicted of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.page import write
from bench.page.groups import Found
from bench.page.marks import mark
from bench.page.table import Column, Entry, Table
from bench.page.table import Row as TableRow
from bench.page.view import Section
from bench.page.words import NONE, TIMES
from ftc.artifact import is_artifact, open_artifact
from ftc.results_file import read_results
from ftc.search.result import Result, Row

if TYPE_CHECKING:
    from bench.leaderboard import Leaderboard

FILE_NAME = "report.html"
GPU_FILE_NAME = "report-cuda.html"
"""Apart, as the results are: a search for a GPU replaces no page of one for the CPU."""

State = Literal["won", "lost", "refused"]


def write_report(result: Result, results: Path, target: Path) -> None:
    """Write the page.

    :param results: the results file with the final measurement
    :raises InputError: if something other than a report stands at `target`
    :raises RunError: if it cannot be written
    """
    run = next(run for run in read_results(results) if run.id == result.board.run)
    page = write.report((Found(str(results), run),), "html", more=(tried(result),))
    write.write(page, target)


def tried(result: Result) -> Section:
    """Every candidate, the winner first."""
    has_float_onnx = any(standing.ratio_to_float_onnx is not None for standing in result.board.standings)
    baseline = "float ONNX" if has_float_onnx else "the checkpoint"
    columns = (
        Column("predicted", f"{TIMES} {baseline}", descending=True),
        Column("measured", f"{TIMES} {baseline}", descending=True),
        Column("lost", "points"),
    )
    rows = tuple(_row(place, row, result.board) for place, row in enumerate(result.rows, start=1))
    way = f" as {result.way}" if result.way is not None else ""
    note = (
        f"The search chose {result.winner.name}{way}: {result.reason}. What did not come to the final measurement was "
        f"judged and timed briefly, on other rows. Its decisions are in {result.journal}."
    )
    return Section("table", "What the search tried", Table(columns, rows), note)


def _row(place: int, row: Row, board: Leaderboard) -> TableRow:
    path = str(row.path.resolve()) if row.path is not None else None
    known = next((s.candidate for s in board.standings if s.candidate.path == path), None)
    made = open_artifact(row.path).manifest if row.path is not None and is_artifact(row.path) else None
    format = made.format if made is not None else known.format if known is not None else ""
    runtime = made.run.runtime if made is not None else known.runtime if known is not None else ""
    state: State = "won" if row.fate.startswith("won") else "refused" if row.fate.startswith("failed") else "lost"
    return TableRow(
        place=place,
        name=row.key if row.way is None else f"{row.key}, {row.way}",
        format=format,
        mark=mark(runtime),
        verdict="",
        reason=row.fate,
        state=state,
        entries=(_entry(row.predicted, 1), _entry(row.measured, 2), _entry(row.drop_points, 2)),
    )


def _entry(value: float | None, digits: int) -> Entry:
    return Entry(NONE) if value is None else Entry(f"{value:.{digits}f}", value=value)
