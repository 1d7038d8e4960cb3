"""Records: the lines of a results file, each appended the moment it existed, and what a run is that they tell of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final, Literal

from annotated_types import Interval, Len

from ftc.manifest import Count, Difference, Word
from ftc.measurement import (
    Accuracy,
    Candidate,
    Caution,
    Choice,
    Conditions,
    Measurement,
    Opening,
    Positive,
    Run,
    Turn,
)

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

    run: Word
    started: Word
    root_id: Word
    main_metric: Word
    max_drop_points: Annotated[float, Interval(ge=0, le=100)]
    conditions: Conditions
    candidates: Annotated[tuple[Candidate, ...], Len(1)]
    precision: Positive | None = None
    labels: tuple[str, ...] = ()
    targets: tuple[Count, ...] = ()
    time_budget_s: Positive | None = None
    kind: Literal["run"] = "run"
    schema: Literal[2] = SCHEMA


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run that was interrupted is gone on with; what is asked of it now is what counts."""

    run: str
    precision: Positive | None = None
    time_budget_s: Positive | None = None
    kind: Literal["resumed"] = "resumed"
    schema: Literal[2] = SCHEMA


@dataclass(frozen=True, slots=True)
class Opened:
    """A candidate's process is ready. A run that was resumed has opened it again: the last line counts.

    One that had hung before has not failed any more.
    """

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
    peak_rss_bytes: Count | None = None
    failure: str | None = None
    peak_gpu_bytes: Count | None = None
    power_w: Difference | None = None
    hung_after_s: Positive | None = None
    kind: Literal["closed"] = "closed"
    schema: Literal[2] = SCHEMA


@dataclass(frozen=True, slots=True)
class Ended:
    """The line that closes a run."""

    run: str
    cautions: tuple[Caution, ...] = ()
    kind: Literal["ended"] = "ended"
    schema: Literal[2] = SCHEMA


@dataclass(frozen=True, slots=True)
class Chosen:
    """A search, whose final measurement the run was, has chosen; the last line counts."""

    run: str
    choice: Choice
    kind: Literal["chosen"] = "chosen"
    schema: Literal[2] = SCHEMA


Record = RunBegun | Resumed | Opened | AccuracyTaken | TurnTaken | Closed | Ended | Chosen


@cache
def adapter() -> TypeAdapter[Record]:
    """Turns records into JSON and back."""
    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[Record, Field(discriminator="kind")])


def begun(record: RunBegun) -> Run:
    """A run of which nothing but its beginning is known; candidates of one name have their ids beside it."""
    times = Counter(candidate.name for candidate in record.candidates)
    candidates = (
        one if times[one.name] == 1 else replace(one, name=f"{one.name} ({one.id})") for one in record.candidates
    )
    return Run(
        id=record.run,
        started=record.started,
        root_id=record.root_id,
        main_metric=record.main_metric,
        max_drop_points=record.max_drop_points,
        conditions=record.conditions,
        measurements=tuple(map(Measurement, candidates)),
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
    if isinstance(record, Resumed):
        return replace(run, precision=record.precision, time_budget_s=record.time_budget_s)
    if isinstance(record, Ended):
        return replace(run, cautions=record.cautions, ended=True)
    if isinstance(record, Chosen):
        return replace(run, choice=record.choice)
    measurements = tuple(
        _added(known, record) if known.candidate.id == record.candidate_id else known for known in run.measurements
    )
    return replace(run, measurements=measurements)


def _added(known: Measurement, record: Opened | AccuracyTaken | TurnTaken | Closed) -> Measurement:
    if isinstance(record, Opened):
        return replace(known, opening=record.opening, failure=None, hung_after_s=None)
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
        hung_after_s=record.hung_after_s,
    )
