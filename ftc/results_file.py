"""Reading a results file: from its lines to the runs that they tell of, as long as these make sense."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc.console import caution
from ftc.errors import InputError
from ftc.measurement import Conditions, Run, Turn
from ftc.records import SCHEMA, AccuracyTaken, Record, RunBegun, TurnTaken, adapter, begun, told

if TYPE_CHECKING:
    from pydantic import ValidationError

_NAMED = 3
"""Lines that a caution names; a file may be all of its kind."""


class _Told:
    """A run while its lines are read. Turns are gathered: there may be a hundred thousand."""

    def __init__(self, record: RunBegun) -> None:
        self._run = begun(record)
        self._turns: dict[str, list[Turn]] = {candidate.id: [] for candidate in record.candidates}
        self._sizes: dict[int, list[int]] = {}
        self._cores = 0

    def add(self, record: Record) -> str | None:
        """Take note of what the record says; or say why it makes no sense in this run."""
        if isinstance(record, AccuracyTaken):
            fault = _of_answers(self._run, record.accuracy.predictions)
        elif isinstance(record, TurnTaken):
            fault = self._of_turn(record.turn)
        else:
            fault = None
        if fault is not None:
            return fault
        if not isinstance(record, TurnTaken):
            self._run = told(self._run, record)
        elif record.candidate_id in self._turns:
            self._turns[record.candidate_id].append(record.turn)
        return None

    def run(self) -> Run:
        """The run with all that was said of it."""
        known = self._run.measurements
        return replace(
            self._run, measurements=tuple(replace(one, turns=tuple(self._turns[one.candidate.id])) for one in known)
        )

    def _of_turn(self, turn: Turn) -> str | None:
        cells = self._run.conditions.cells
        if len(turn.calls_ns) != len(cells):
            return f"a turn has the times of {len(turn.calls_ns)} cells where {len(cells)} are timed"
        sizes = [len(calls) for calls in turn.calls_ns]
        of_batches = cells[0].batch_size is None  # which differ from one candidate to the next
        if not of_batches and self._sizes.setdefault(turn.round, sizes) != sizes:
            return f"two turns of round {turn.round} have times of different calls"
        for read in map(len, (turn.core_ns, turn.cache_ns, turn.transfer_ns)):
            self._cores = self._cores or read
            if read not in (0, self._cores):  # a run goes on with the same cores; earlier versions have read none
                return f"a turn has readings of {read} cores where others have those of {self._cores}"
        return None


def read_results(path: Path) -> tuple[Run, ...]:
    """The runs in a results file, oldest first; lines that killed runs left unfinished are skipped aloud.

    :raises InputError: if there is no such file, it is something else, or a line is no record that this `ftc` knows, or
        makes no sense
    """
    runs: dict[str, _Told] = {}
    unfinished, orphaned, is_other = [], [], False
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        told = _loaded(line, path, number)
        if told is None:
            unfinished.append(number)
            is_other = is_other or not line.startswith(b"{")
            continue
        for record in _records(told, line, path, number):
            if isinstance(record, RunBegun):
                fault = _of_beginning(record)
                runs[record.run] = _Told(record)
            elif record.run in runs:
                fault = runs[record.run].add(record)
            else:
                fault = None
                orphaned.append(number)
            if fault is not None:
                raise _refused(path, number, fault)
    if is_other and not runs:
        raise InputError(f"{path} is no results file. Name one that ftc bench wrote: ftc bench --data FILE -o RESULTS")
    if unfinished:
        caution(f"{path}, {_listed(unfinished)}: unfinished (a run was killed while writing it); skipped.")
    if orphaned:
        caution(f"{path}, {_listed(orphaned)}: of a run whose first line is missing; skipped.")
    return tuple(run.run() for run in runs.values())


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Measure first: ftc bench --data FILE") from error


def _loaded(line: bytes, path: Path, number: int) -> Any:
    """What a line says; None of half a line."""
    try:
        return json.loads(line)
    except ValueError:
        return None
    except RecursionError as error:
        raise _refused(path, number, "it is nested too deeply") from error


def _records(told: Any, line: bytes, path: Path, number: int) -> Iterator[Record]:
    from pydantic import ValidationError

    if isinstance(told, dict) and told.get("kind") == "service":
        raise InputError(
            f"{path} holds what ftc bench --service measured, which has no report and no comparison: read its lines "
            "(bench/README.md), or name a file of ftc bench --data FILE."
        )
    schema = told.get("schema") if isinstance(told, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise _refused(path, number, f"it is of schema {schema}, and this one knows those up to {SCHEMA}")
    try:
        if schema == 1:
            yield from (adapter().validate_python(record) for record in _upgraded(told, path, number))
        else:
            yield adapter().validate_json(line)
    except ValidationError as error:
        raise _refused(path, number, first_fault(error)) from error


def _upgraded(told: dict[str, Any], path: Path, number: int) -> list[dict[str, Any]]:
    from ftc.records_v1 import upgraded

    try:
        return list(upgraded(told))
    except (AttributeError, TypeError, ValueError) as error:
        raise _refused(path, number, "it is no line of schema 1") from error


def _of_beginning(record: RunBegun) -> str | None:
    known = {candidate.id for candidate in record.candidates}
    if len(known) < len(record.candidates):
        return "two candidates have the same id"
    if any(candidate.twin_of not in (None, *known) for candidate in record.candidates):
        return "a self-check is of a candidate that is not there"
    rows = _rows(record.conditions)
    if record.targets and len(record.targets) != rows:
        return f"{len(record.targets)} rows have a right answer, {rows} are answered"
    return None


def _of_answers(run: Run, predictions: tuple[int, ...]) -> str | None:
    rows = _rows(run.conditions)
    return f"{len(predictions)} answers to {rows} rows" if len(predictions) != rows else None


def _rows(conditions: Conditions) -> int:
    return conditions.data.rows if conditions.data is not None else 0


def _refused(path: Path, number: int, fault: str) -> InputError:
    return InputError(
        f"{path}, line {number}: not a result this version of ftc can read: {fault}. "
        "Move the file aside and measure again, or read it with the ftc that wrote it."
    )


def first_fault(error: ValidationError) -> str:
    """Where a record makes no sense, and why."""
    first = error.errors(include_url=False)[0]
    return f"{' -> '.join(str(part) for part in first['loc'])}: {first['msg'][:400]}"


def _listed(numbers: list[int]) -> str:
    named = ", ".join(map(str, numbers[:_NAMED]))
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return f"line{'s' if len(numbers) > 1 else ''} {named}{more}"
