"""What `bench` found out, as frozen values: raw samples and the conditions they were taken under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from ftc.console import caution
from ftc.errors import InputError
from ftc.manifest import DataRecord

if TYPE_CHECKING:
    from pydantic import TypeAdapter

# Format history of the results file: JSON lines, appended, each with its `schema`, `kind` and `run`.
# A reader accepts the versions it knows and refuses newer ones.
#   1  `run`: when a run begins: its conditions and its candidates
#      `accuracy`: as soon as a candidate has answered all rows
#      `measurement`: one for each candidate when the rounds are over: raw samples, or why there are none
SCHEMA: Final = 1

Form = Literal["text", "pair", "image"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What was measured.

    :param id: the artifact's id
    :param lossless: True for the checkpoint and for float exports of it that passed their parity check
    :param is_root: True for the checkpoint itself
    :param size_bytes: the model file with its weights
    """

    id: str
    name: str
    path: str
    format: str
    runtime: str
    lossless: bool
    is_root: bool
    size_bytes: int

    @property
    def is_float_onnx(self) -> bool:
        """Whether this is what ratios are taken to: the float ONNX export of the checkpoint."""
        return self.format == "onnx" and self.lossless and not self.is_root


@dataclass(frozen=True, slots=True)
class Opening:
    """How a candidate started in a fresh process.

    :param load_ns: importing the runtime, opening model and tokenizer; the disk cache is as it was found
    :param first_call_ns: the first call of the model, batch 1
    :param session: what the runtime says of itself: version, threads, graph options
    """

    load_ns: int
    first_call_ns: int
    session: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How a candidate answered the rows, each in a batch of one.

    :param metrics: fractions (0-1) by name; empty where the data has no labels
    :param predictions: class id of every row, in the order of the data
    """

    metrics: Mapping[str, float]
    predictions: tuple[int, ...]

    def agreement(self, other: Accuracy) -> float:
        """The fraction (0-1) of rows that both give the same label."""
        pairs = zip(self.predictions, other.predictions, strict=True)
        return sum(mine == theirs for mine, theirs in pairs) / len(self.predictions)


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw times in nanoseconds. Round r of one candidate and round r of another hold the same examples.

    :param single_ns: for each round, the model calls with a batch of one
    :param batch_ns: for each round, the model calls with `Conditions.batch_size` rows
    :param encode_ns: encoding single examples, apart from the model
    :param peak_rss_bytes: the process's largest resident memory, from its start to the end of the last round
    """

    single_ns: tuple[tuple[int, ...], ...]
    batch_ns: tuple[tuple[int, ...], ...]
    encode_ns: tuple[int, ...]
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that is known of one candidate; a failed one says why and keeps what was found before."""

    candidate: Candidate
    opening: Opening | None = None
    accuracy: Accuracy | None = None
    samples: Samples | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured; None is what the system does not tell.

    :param instructions: the instruction sets that decide how fast INT8 and bfloat16 are
    :param cores: cores this process may run on
    :param cpu_quota: cores' worth of time that the control group allows
    :param busy_cores: cores' worth of time that other work took in the half second before the run began; the load
        average would count what this very process did in the minute before
    """

    cpu: str
    instructions: tuple[str, ...]
    cores: int
    cpu_quota: float | None
    governor: str | None
    busy_cores: float
    memory_bytes: int
    platform: str
    python: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where and how a run was made; only runs under like conditions may be compared.

    :param lengths: median and longest of the timed examples, in tokens or in pixels of the longer side
    :param data: what was answered for accuracy; None where nothing was
    :param timed_examples: examples in the timed sample, the same for all candidates
    :param form: what each row of the data is; None where there is none, and in files of earlier versions
    """

    machine: Machine
    device: str
    threads: int
    batch_size: int
    timed_examples: int
    lengths: tuple[int, int]
    data: DataRecord | None
    seed: int
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `bench` over candidates with a common root.

    :param max_drop_points: the accuracy budget: points (hundredths) of `main_metric` against the root
    """

    id: str
    started: str
    root_id: str
    main_metric: str
    max_drop_points: float
    conditions: Conditions
    measurements: tuple[Measurement, ...]

    @property
    def is_complete(self) -> bool:
        """False for a run that was interrupted before its rounds were over."""
        return any(measurement.samples is not None for measurement in self.measurements)


@dataclass(frozen=True, slots=True)
class RunBegun:
    """The line that opens a run."""

    run: str
    started: str
    root_id: str
    main_metric: str
    max_drop_points: float
    conditions: Conditions
    candidates: tuple[Candidate, ...]
    kind: Literal["run"] = "run"
    schema: Literal[1] = SCHEMA


@dataclass(frozen=True, slots=True)
class AccuracyTaken:
    """A candidate has answered all rows."""

    run: str
    candidate_id: str
    accuracy: Accuracy
    kind: Literal["accuracy"] = "accuracy"
    schema: Literal[1] = SCHEMA


@dataclass(frozen=True, slots=True)
class Measured:
    """A candidate's part of the run is over."""

    run: str
    measurement: Measurement
    kind: Literal["measurement"] = "measurement"
    schema: Literal[1] = SCHEMA


Record = RunBegun | AccuracyTaken | Measured


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
    runs: dict[str, RunBegun] = {}
    found: dict[str, dict[str, Measurement]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _record(line, path, number)
        if isinstance(record, RunBegun):
            runs[record.run] = record
            unfinished = "the run was interrupted before this candidate was measured"
            found[record.run] = {c.id: Measurement(c, failure=unfinished) for c in record.candidates}
        elif record is not None and record.run not in runs:
            caution(f"{path}, line {number}: belongs to a run whose first line is missing; skipped.")
        elif isinstance(record, AccuracyTaken):
            known = found[record.run]
            known[record.candidate_id] = replace(known[record.candidate_id], accuracy=record.accuracy)
        elif record is not None:
            found[record.run][record.measurement.candidate.id] = record.measurement
    return tuple(
        Run(
            id=begun.run,
            started=begun.started,
            root_id=begun.root_id,
            main_metric=begun.main_metric,
            max_drop_points=begun.max_drop_points,
            conditions=begun.conditions,
            measurements=tuple(found[begun.run].values()),
        )
        for begun in runs.values()
    )


def _record(line: bytes, path: Path, number: int) -> Record | None:
    from pydantic import ValidationError

    try:
        return adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            caution(f"{path}, line {number}: unfinished (a run was killed while writing it); skipped.")
            return None
        where = " -> ".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path}, line {number}: not a result this version of ftc can read: {where}: {first['msg']}. "
            "Move the file aside and measure again, or read it with the ftc that wrote it."
        ) from error
