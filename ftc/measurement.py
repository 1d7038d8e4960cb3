"""What `bench` found out, as frozen values: raw samples and the conditions they were taken under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval, IsFinite, Len

from ftc.gpu import Gpu
from ftc.manifest import Ancestor, Count, DataRecord, Size, Word

Form = Literal["text", "pair", "image"]

Scenario = Literal["SingleStream", "Offline", "Server"]
"""By the names of MLPerf Inference (Reddi et al. 2020, section III): one query after another; all rows at once, as
many in a batch as is best; queries that arrive by chance."""

# A results file comes from anywhere, as a manifest does. A call that took no time was none.
Duration = Annotated[int, Interval(ge=1, lt=2**63)]
Positive = Annotated[IsFinite[float], Interval(gt=0)]
Score = Annotated[float, Interval(ge=0, le=1 + 1e-9)]  # sums of fractions are rounded


@dataclass(frozen=True, slots=True)
class Candidate:
    """What was measured.

    :param id: the artifact's id
    :param lossless: True for the checkpoint and for float exports of it that passed their parity check
    :param is_root: True for the checkpoint itself
    :param size_bytes: the model file with its weights
    :param twin_of: id of the candidate that this one is, a second time, as a self-check
    :param lineage: from the root to this one; empty in files of earlier versions
    :param variant: how it was executed on a GPU, such as ``fp16-compile``
    :param sha256: of the model file; None for directories, and in files of earlier versions
    """

    id: Word
    name: Word
    path: str
    format: Word
    runtime: Word
    lossless: bool
    is_root: bool
    size_bytes: Count
    twin_of: Word | None = None
    lineage: tuple[Ancestor, ...] = field(default=(), hash=False)
    variant: Word | None = None
    sha256: Word | None = None

    def is_same_file(self, other: Candidate) -> bool:
        """Whether both are the same files, so far as that is known."""
        known = self.sha256 is not None and other.sha256 is not None
        return self.id == other.id and (not known or self.sha256 == other.sha256)

    @property
    def artifact_id(self) -> str:
        """Of what was executed; on a GPU several candidates are one artifact, and their own ids tell them apart."""
        return self.lineage[-1].id if self.lineage else self.id

    @property
    def is_float_onnx(self) -> bool:
        """Whether this is what ratios are taken to: the float ONNX export of the checkpoint."""
        return self.format == "onnx" and self.lossless and not self.is_root and self.twin_of is None


@dataclass(frozen=True, slots=True)
class Opening:
    """How a candidate started in a fresh process.

    :param load_ns: importing the runtime, opening model and tokenizer; the disk cache is as it was found
    :param first_call_ns: the first call of the model, batch 1
    :param session: what the runtime says of itself: version, threads, graph options
    :param encode_ns: encoding each timed example alone (tokenizing, resizing), apart from the model
    :param decode_ns: turning the outputs of each into a prediction, apart from the model
    :param batch_size: rows of a call at which most went through in a second; only in the Offline scenario
    """

    load_ns: Count
    first_call_ns: Count
    session: Mapping[str, str]
    encode_ns: tuple[Count, ...] = ()
    decode_ns: tuple[Count, ...] = ()
    batch_size: Size | None = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How a candidate answered the rows, each in a batch of one.

    :param metrics: fractions (0-1) by name; empty where the data has no labels
    :param predictions: class id of every row, in the order of the data
    """

    metrics: Mapping[Word, Score]
    predictions: Annotated[tuple[Count, ...], Len(1)]

    def agreement(self, other: Accuracy) -> float:
        """The fraction (0-1) of rows that both give the same label."""
        pairs = zip(self.predictions, other.predictions, strict=True)
        return sum(mine == theirs for mine, theirs in pairs) / len(self.predictions)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is timed of every candidate in every round, apart from other cells.

    :param batch_size: rows of a model call; None for those that suit each candidate best
    :param length: tokens that every text has, made from the data's own; None for the data's own lengths
    """

    batch_size: Size | None = 1
    length: Size | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A candidate's part of one round. In the same round all candidates are given the same examples in the same order.

    :param calls_ns: for each of `Conditions.cells`, the nanoseconds of its model calls; in the Server scenario from
        a query's arrival to its answer
    :param process: which of the candidate's processes, one after another in the run, from 0
    :param core_ns: what a fixed piece of work took each core that was looked at, the longer of just before the turn and
        just after it; empty where cores cannot be chosen, on a GPU, and in files of earlier versions (see
        `bench.yardstick`)
    :param cache_ns: what a walk through 8 MiB of memory took each of them, the last time that it was taken
    :param transfer_ns: what a walk through what the one before it had just written took each of them; empty of one core
    """

    round: Count
    calls_ns: tuple[Annotated[tuple[Duration, ...], Len(1)], ...]
    process: Count = 0
    core_ns: tuple[Duration, ...] = ()
    cache_ns: tuple[Duration, ...] = ()
    transfer_ns: tuple[Duration, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """All that is known of one candidate; a failed one says why and keeps what was found before.

    :param peak_rss_bytes: the process's largest resident memory, from its start to the end of the last round
    :param peak_gpu_bytes: the most memory of the GPU that its runtime held at once; None on the CPU, and where unknown
    :param power_w: of the GPU, the mean over this candidate's turns; None on the CPU, and where unknown
    :param hung_after_s: the limit for one answer that it failed by; None where it did not, and in files of earlier
        versions
    """

    candidate: Candidate
    opening: Opening | None = None
    accuracy: Accuracy | None = None
    turns: tuple[Turn, ...] = ()
    peak_rss_bytes: int | None = None
    failure: str | None = None
    peak_gpu_bytes: int | None = None
    power_w: float | None = None
    hung_after_s: float | None = None

    @property
    def is_timed(self) -> bool:
        """Whether there are times, and the candidate did not fail after them."""
        return bool(self.turns) and self.failure is None

    def by_round(self, cell: int = 0) -> dict[int, tuple[int, ...]]:
        """The times of one cell, by the number of the round."""
        return {turn.round: turn.calls_ns[cell] for turn in self.turns}

    @property
    def processes(self) -> dict[int, int]:
        """Which of the candidate's processes it was, by the number of the round."""
        return {turn.round: turn.process for turn in self.turns}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured; None is what the system does not tell.

    :param instructions: the instruction sets that decide how fast INT8 and bfloat16 are
    :param cores: cores this process may run on
    :param cpu_quota: cores' worth of time that the control group allows
    :param busy_cores: cores' worth of time that other work took of these in the half second before the run began; the
        load average would count what this very process did in the minute before
    """

    cpu: str
    instructions: tuple[str, ...]
    cores: Size
    cpu_quota: Positive | None
    governor: str | None
    busy_cores: IsFinite[float]
    memory_bytes: Count
    platform: str
    python: str
    versions: Mapping[str, str]
    load_1min: IsFinite[float] | None = None
    memory_available_bytes: Count | None = None
    memory_limit_bytes: Count | None = None


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How queries come in the Server scenario: a Poisson process.

    :param rate_per_s: queries in a second, on average
    :param bound_ms: what an answer may take from its query's arrival
    """

    rate_per_s: Positive
    bound_ms: Positive


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where and how a run was made; only runs under like conditions may be compared.

    :param cells: what is timed; candidates are ranked by the first
    :param lengths: median and longest of the timed examples, in tokens or in pixels of the longer side
    :param data: what was answered for accuracy; None where nothing was
    :param timed_examples: examples in the timed sample, the same for all candidates
    :param form: what each row of the data is; None where there is none, and in files of earlier versions
    :param pinned_cores: the cores that every candidate was held to; None where the system cannot do that
    :param arrivals: of the Server scenario
    :param gpu: that the models ran on; None on the CPU
    """

    machine: Machine
    device: str
    threads: Size
    cells: Annotated[tuple[Cell, ...], Len(1)]
    timed_examples: Count
    lengths: tuple[Count, Count]
    data: DataRecord | None
    seed: Count
    form: Form | None = None
    pinned_cores: tuple[Count, ...] | None = None
    scenario: Scenario = "SingleStream"
    arrivals: Arrivals | None = None
    gpu: Gpu | None = None

    @property
    def throughput_cell(self) -> int:
        """Place of the cell that throughput is told of: batches of the data's own lengths, or else the first."""
        return 1 if len(self.cells) > 1 and self.cells[1].length is None else 0

    @property
    def is_grid(self) -> bool:
        """Whether more was timed than latency and throughput."""
        return len(self.cells) > self.throughput_cell + 1


@dataclass(frozen=True, slots=True)
class Caution:
    """Something to know before the result is trusted.

    :param kind: one word for machines
    :param advice: what to do about it
    """

    kind: str
    text: str
    advice: str

    def __str__(self) -> str:
        return f"{self.text} {self.advice}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a search chose among the candidates of a run, by more than speed inside the accuracy budget.

    :param candidate_id: None where nothing may be chosen
    :param refused: why others may not win, by their ids
    """

    candidate_id: Word | None
    reason: str
    refused: Mapping[Word, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `bench` over candidates with a common root.

    :param max_drop_points: the accuracy budget: points (hundredths) of `main_metric` against the root
    :param precision: half the width that intervals were to have, as a fraction of the ratio; None where not asked.
        Of a run that was gone on with, what was asked for last, as `time_budget_s`
    :param labels: names of the classes
    :param targets: the right class of every row, in the order of `Accuracy.predictions`; empty where not known
    :param ended: False for a run that was interrupted before its rounds were over
    :param time_budget_s: what timing was allowed to take; None in files of earlier versions
    :param choice: of the search that this run ended; it decides who has won
    """

    id: str
    started: str
    root_id: str
    main_metric: str
    max_drop_points: float
    conditions: Conditions
    measurements: tuple[Measurement, ...]
    precision: float | None = None
    labels: tuple[str, ...] = ()
    targets: tuple[int, ...] = ()
    cautions: tuple[Caution, ...] = ()
    ended: bool = True
    time_budget_s: float | None = None
    choice: Choice | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it was measured to its end, and anything could be."""
        return self.ended and any(measurement.is_timed for measurement in self.measurements)
