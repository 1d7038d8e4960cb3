"""One run of the benchmark: open, answer, time, and write down, each candidate in its own process."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import conditions, results, sampling, timed
from bench.candidates import described
from bench.leaderboard import Leaderboard, rank
from bench.remote import Worker
from bench.timed import Timed
from bench.trial import Trial
from ftc.artifact import Artifact
from ftc.console import caution, progress, say
from ftc.data import Dataset
from ftc.errors import InputError, RunError
from ftc.manifest import DataRecord
from ftc.measurement import AccuracyTaken, Conditions, Measured, Record, Run, RunBegun
from ftc.runtimes.session import MOST_THREADS, SessionOptions
from ftc.tasks.task import Task, open_task

MOST_ROWS = 4096
"""In a batch; the timed sample would be repeated a hundredfold to fill a larger one."""

MOST_SEED = 2**32 - 1

_BUSY_SHARE = 0.15
"""Of the cores; above it, other work disturbs what is measured."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is made.

    :param threads: threads inside one operator; None takes every core
    :param batch_size: rows of a batch when throughput is timed
    :param time_budget_s: what timing may take, all candidates together
    :param limit: rows answered for accuracy; None for all
    :param max_drop_points: the accuracy budget, in points of the task's main metric against the checkpoint
    """

    threads: int | None = None
    batch_size: int = 8
    time_budget_s: float = 30.0
    limit: int | None = None
    max_drop_points: float = 1.0
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("threads", self.threads, 1, MOST_THREADS),
            ("batch-size", self.batch_size, 1, MOST_ROWS),
            ("limit", self.limit, 1, math.inf),
            ("max-drop", self.max_drop_points, 0, 100),
            ("seed", self.seed, 0, MOST_SEED),
        ):
            if value is not None and not least <= value <= most:  # not-a-number is in no range, too
                raise InputError(f"--{name} must be {_range(least, most)}, got {value}.")
        if not 0 < self.time_budget_s < math.inf:
            raise InputError(f"--time-budget must be a number of seconds above 0, got {self.time_budget_s}.")
        if self.device != "cpu":
            raise InputError(f"this version measures on the CPU only: --device {self.device} is not available yet.")


def bench(
    candidates: Sequence[Artifact],
    *,
    data: Dataset | None = None,
    options: Options | None = None,
    results_path: Path | None = None,
) -> Leaderboard:
    """Measure candidates side by side and rank them.

    :param candidates: artifacts of one root, with the root itself if it is to be compared with, and model files of
        other programs after them (see `candidates.select`)
    :param data: rows to answer for accuracy and to draw the timed examples from; None times golden examples
    :param results_path: where records are appended as they come; None writes nothing
    :raises InputError: if there are no candidates, or something else than results stands at `results_path`
    :raises RunError: if none could be measured, or the results cannot be written
    """
    if not candidates:
        raise InputError("nothing to measure: give at least one artifact or checkpoint.")
    options = options or Options()
    if results_path is not None:
        results.check(results_path)
    root_id = candidates[0].manifest.root_id
    ordered = sorted(candidates, key=lambda artifact: artifact.manifest.id != root_id)
    task = open_task(ordered[0])
    examples = timed.draw(ordered, task, data, options.batch_size, options.seed)
    answered = _limited(data, options)
    begun = _begun(ordered, task, examples, answered, options)
    _write(begun, results_path)
    with ExitStack() as stack:
        trials = [
            Trial(
                described(artifact, root_id),
                stack.enter_context(Worker(artifact, begun.conditions.threads, options.device)),
            )
            for artifact in ordered
        ]
        _open(trials, examples)
        if answered is not None:
            _answer(trials, answered, task, begun.run, results_path)
        _time(trials, examples, options)
    measurements = tuple(trial.measurement() for trial in trials)
    for measurement in measurements:
        _write(Measured(begun.run, measurement), results_path)
    if all(measurement.samples is None for measurement in measurements):
        raise RunError("no candidate could be measured; the reasons are above.")
    return rank(
        Run(
            id=begun.run,
            started=begun.started,
            root_id=begun.root_id,
            main_metric=begun.main_metric,
            max_drop_points=begun.max_drop_points,
            conditions=begun.conditions,
            measurements=measurements,
        )
    )


def _range(least: float, most: float) -> str:
    return f"at least {least}" if most == math.inf else f"from {least} to {most}"


def _limited(data: Dataset | None, options: Options) -> Dataset | None:
    if data is None or options.limit is None or options.limit >= len(data):
        return data
    say(f"accuracy on {options.limit} of {len(data)} rows, drawn with seed {options.seed}")
    return data.sample(options.limit, options.seed)


def _begun(
    candidates: Sequence[Artifact], task: Task, examples: Timed, answered: Dataset | None, options: Options
) -> RunBegun:
    machine = conditions.machine()
    if machine.busy_cores > _BUSY_SHARE * machine.cores:
        caution(
            f"the machine is busy ({machine.busy_cores:.1f} of {machine.cores} cores with other work): times will be "
            "too long, and ratios flatter those whose calls are short. Measure again when it is quiet."
        )
    return RunBegun(
        run=os.urandom(8).hex(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        root_id=candidates[0].manifest.root_id,
        main_metric=task.main_metric,
        max_drop_points=options.max_drop_points,
        conditions=Conditions(
            machine=machine,
            device=options.device,
            threads=SessionOptions(options.threads, options.device).thread_count(),
            batch_size=options.batch_size,
            timed_examples=len(examples.examples),
            lengths=examples.lengths,
            data=_recorded(answered) if answered is not None else None,
            seed=options.seed,
            form=timed.form(answered.examples[0]) if answered is not None else None,
        ),
        candidates=tuple(described(artifact, candidates[0].manifest.root_id) for artifact in candidates),
    )


def _recorded(data: Dataset) -> DataRecord:
    return DataRecord(data.source, data.fingerprint, len(data))


def _open(trials: Sequence[Trial], examples: Timed) -> None:
    with progress("opening the candidates, one process each", len(trials)) as advance:
        for trial in trials:
            trial.attempt(lambda: trial.open(examples))  # noqa: B023 - called at once
            advance()


def _answer(trials: Sequence[Trial], data: Dataset, task: Task, run: str, results_path: Path | None) -> None:
    title = f"answering {len(data)} rows with each of {len(trials)} candidates"
    with progress(title, len(data) * len(trials)) as advance:
        for trial in trials:
            trial.attempt(lambda: trial.answer(data, task, advance))  # noqa: B023 - called at once
            if trial.accuracy is not None:
                _write(AccuracyTaken(run, trial.candidate.id, trial.accuracy), results_path)


def _time(trials: Sequence[Trial], examples: Timed, options: Options) -> None:
    well = {trial.candidate.id: trial for trial in trials if trial.failure is None}
    taken = sampling.interleaved(
        {name: trial.worker for name, trial in well.items()},
        len(examples.examples),
        len(examples.batches),
        budget_ns=options.time_budget_s * 1e9,
        seed=options.seed,
    )
    for name, trial in well.items():
        times = taken[name]
        if times.failure is not None:
            trial.fail(times.failure)
            continue
        trial.attempt(lambda: trial.keep(times))  # noqa: B023 - called at once


def _write(record: Record, path: Path | None) -> None:
    if path is not None:
        results.append(record, path)
