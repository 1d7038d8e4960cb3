"""The results file: JSON lines, each a record that was appended the moment it existed, and the runs they tell of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from ftc.console import caution
from ftc.errors import InputError
from ftc.measurement import Accuracy, Candidate, Caution, Conditions, Measurement, Opening, Run, Turn

if TYPE_CHECKING:
    from pydantic import TypeAdapter

# Format history. Every line has its `run`, `kind` and `schema`; bench/README.md describes them. A reader accepts the
# versions it knows and refuses newer ones.
#   1  `run`, `accuracy`, and one `measurement` for each candidate when the rounds were over
#   2  `opened`, `turn`, `closed` and `ended` instead of `measurement`: a run that is killed loses no more than what was
#      in flight. Cells instead of a batch size; the right labels of the rows
SCHEMA: Final = 2


@dataclass(frozen=True, slots=True)
class RunBegun:
    """The line that opens a run; see `Run`."""

    run: str
    started: str
    root_id: str
    main_metric: str
    max_drop_points: float
    conditions: Conditions
    candidates: tuple[Candidate, ...]
    precision: float | None = None
    labels: tuple[str, ...] = ()
    targets: tuple[int, ...] = ()
    time_budget_s: float | None = None
    kind: Literal["run"] = "run"
    schema: Literal[2] = SCHEMA


@dataclass(frozen=True, slots=True)
class Opened:
    """A candidate's process is ready. A run that was resumed has opened it again: the last line counts."""

    run: str
    candidate_id: str
    opening: Opening
    kind: Literal["opened"] = "opened"
    schema: Literal[2] = SCHEMA


@dataclass(frozen=True, slots=True)
class AccuracyTaken:
    """A candidate has answered all rows."""

    run: str
    candidate_id: str
    accuracy: Accuracy
    kind: Literal["accuracy"] = "accuracy"
    schema: Literal[2] = SCHEMA


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """A candidate has had its turn in a round."""

    run: str
    candidate_id: str
    turn: Turn
    kind: Literal["turn"] = "turn"
    schema: Literal[2] = SCHEMA


@dataclass(frozen=True, slots=True)
class Closed:
    """A candidate's part of the run is over."""

    run: str
    candidate_id: str
    peak_rss_bytes: int | None = None
    failure: str | None = None
    peak_gpu_bytes: int | None = None
    power_w: float | None = None
    kind: Literal["closed"] = "closed"
    schema: Literal[2] = SCHEMA


@dataclass(frozen=True, slots=True)
class Ended:
    """The line that closes a run."""

    run: str
    cautions: tuple[Caution, ...] = ()
    kind: Literal["ended"] = "ended"
    schema: Literal[2] = SCHEMA


Record = RunBegun | Opened | AccuracyTaken | TurnTaken | Closed | Ended


@cache
def adapter() -> TypeAdapter[Record]:
    """Turns records into JSON and back."""
    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[Record, Field(discriminator="kind")])


def read_results(path: Path) -> tuple[Run, ...]:
    """The runs in a results file, oldest first; a line that a killed run left unfinished is skipped aloud.

    :raises InputError: if there is no such file, or a line is no record this `ftc` knows
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Measure first: ftc bench --data FILE") from error
    runs: dict[str, Run] = {}
    for number, line in enumerate(lines, start=1):
        for record in _records(line, path, number) if line.strip() else ():
            if isinstance(record, RunBegun):
                runs[record.run] = begun(record)
            elif record.run not in runs:
                caution(f"{path}, line {number}: belongs to a run whose first line is missing; skipped.")
            else:
                runs[record.run] = told(runs[record.run], record)
    return tuple(runs.values())


def begun(record: RunBegun) -> Run:
    """A run of which nothing but its beginning is known."""
    return Run(
        id=record.run,
        started=record.started,
        root_id=record.root_id,
        main_metric=record.main_metric,
        max_drop_points=record.max_drop_points,
        conditions=record.conditions,
        measurements=tuple(Measurement(candidate) for candidate in record.candidates),
        precision=record.precision,
        labels=record.labels,
        targets=record.targets,
        ended=False,
        time_budget_s=record.time_budget_s,
    )


def told(run: Run, record: Record) -> Run:
    """The run with what one more record says of it."""
    if isinstance(record, RunBegun):
        return begun(record)
    if isinstance(record, Ended):
        return replace(run, cautions=record.cautions, ended=True)
    measurements = tuple(
        _added(known, record) if known.candidate.id == record.candidate_id else known for known in run.measurements
    )
    return replace(run, measurements=measurements)


def _added(known: Measurement, record: Opened | AccuracyTaken | TurnTaken | Closed) -> Measurement:
    if isinstance(record, Opened):
        return replace(known, opening=record.opening)
    if isinstance(record, AccuracyTaken):
        return replace(known, accuracy=record.accuracy)
    if isinstance(record, TurnTaken):
        return replace(known, turns=(*known.turns, record.turn))
    return replace(
        known,
        peak_rss_bytes=record.peak_rss_bytes,
        failure=record.failure,
        peak_gpu_bytes=record.peak_gpu_bytes,
        power_w=record.power_w,
    )


def _records(line: bytes, path: Path, number: int) -> Iterator[Record]:
    from pydantic import ValidationError

    from ftc.records_v1 import upgraded

    try:
        told: Any = json.loads(line)
    except ValueError:
        caution(f"{path}, line {number}: unfinished (a run was killed while writing it); skipped.")
        return
    try:
        if isinstance(told, dict) and told.get("schema") == 1:
            yield from (adapter().validate_python(record) for record in upgraded(told))
        else:
            yield adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = " -> ".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path}, line {number}: not a result this version of ftc can read: {where}: {first['msg']}. "
            "Move the file aside and measure again, or read it with the ftc that wrote it."
        ) from error
