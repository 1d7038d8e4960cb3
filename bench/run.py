"""One run of the benchmark: open, answer, time, and write down, each candidate in its own process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench import cautions, conditions, cores, results, resume, timed, timing
from bench.candidates import described
from bench.leaderboard import Leaderboard, rank
from bench.log import Log
from bench.options import Options
from bench.remote import Worker
from bench.timed import Timed
from bench.trial import Trial
from bench.variants import Ways, variants
from ftc.artifact import Artifact
from ftc.console import caution, progress, say
from ftc.data import Dataset
from ftc.errors import InputError, RunError
from ftc.gpu import Gpu, chosen
from ftc.manifest import DataRecord
from ftc.measurement import Candidate, Caution, Choice, Conditions
from ftc.records import Chosen, Ended, RunBegun, begun
from ftc.runtimes import why_not_on_gpu
from ftc.runtimes.session import SessionOptions
from ftc.tasks.task import Task, open_task

__all__ = ["Options", "bench"]

TWIN = "-again"
"""What the id and the name of a self-check's second process end in."""


def bench(
    candidates: Sequence[Artifact],
    *,
    data: Dataset | None = None,
    options: Options | None = None,
    results_path: Path | None = None,
    resumed: bool = False,
    modules: dict[str, str] | None = None,
    choose: Callable[[Leaderboard], Choice] | None = None,
    ways: Mapping[str, Ways] | None = None,
) -> Leaderboard:
    """Measure candidates side by side and rank them.

    :param candidates: artifacts of one root, with the root itself if it is to be compared with, and model files of
        other programs after them (see `candidates.select`)
    :param data: rows to answer for accuracy and to draw the timed examples from; None times golden examples
    :param results_path: where records are appended as they come; None writes nothing
    :param resumed: whether to go on with the last run of `results_path`, which was interrupted
    :param modules: by a candidate's id, what runs in its process instead of `bench.worker`
    :param choose: what chooses the winner of this run, instead of the ranking
    :param ways: by an artifact's id, in which ways it is measured; what is not named, in all that the device has
    :raises InputError: if there are no candidates or one of them twice, no GPU where one is asked for, too few queries
        in the time budget, something else than results stands at `results_path`, another process is measuring into it,
        or there is no run to go on with under these conditions
    :raises RunError: if none could be measured, or the results cannot be written
    """
    if not candidates:
        raise InputError("nothing to measure: give at least one artifact or checkpoint.")
    options = options or Options()
    gpu = chosen().gpu if options.device == "cuda" else None
    _check_distinct(candidates)
    idle = _idle_on_gpu(candidates) if gpu is not None else frozenset()
    if resumed:
        resume.check(results_path)
    elif results_path is not None:
        results.check(results_path)
    root_id = candidates[0].manifest.root_id
    ordered = sorted(candidates, key=lambda artifact: artifact.manifest.id != root_id)
    task = open_task(ordered[0])
    examples = timed.draw(ordered, task, data, options.cells(), options.seed)
    answered = _limited(data, options)
    subjects = _subjects(ordered, root_id, options, ways or {}, idle)
    if not resumed:
        timing.check(options, len(subjects))
    start = _begun(tuple(subjects), root_id, task, examples, answered, options, gpu)
    with results.held(results_path) if results_path is not None else nullcontext():
        if resumed and results_path is not None:
            log = resume.log(start, results_path)
        else:
            log = Log(begun(start), results_path)
            log.add(start)
        found = _measure(log, start, subjects, task, examples, answered, options, modules or {})
        if choose is not None and any(known.is_timed for known in log.run.measurements):
            log.add(Chosen(log.run.id, choose(rank(log.run))))
        log.add(Ended(log.run.id, found))
    if not any(known.is_timed for known in log.run.measurements):
        raise RunError("no candidate could be measured; the reasons are above.")
    return rank(log.run)


def _measure(
    log: Log,
    start: RunBegun,
    subjects: Mapping[Candidate, Artifact],
    task: Task,
    examples: Timed,
    answered: Dataset | None,
    options: Options,
    modules: Mapping[str, str],
) -> tuple[Caution, ...]:
    both = (*cautions.before(log.run.conditions), *cautions.before(start.conditions))  # of a resumed run they differ
    before = (*dict.fromkeys(both), *cautions.resumed(log.run))
    for found in before:
        caution(str(found))
    with ExitStack() as stack:
        trials = [
            Trial(
                log.of(candidate.id).candidate,
                stack.enter_context(
                    Worker(
                        artifact,
                        start.conditions.threads,
                        options.device,
                        cores=log.run.conditions.pinned_cores,
                        limit_s=options.time_limit_s,
                        variant=candidate.variant,
                        module=modules.get(candidate.id, "bench.worker"),
                    )
                ),
                log,
                has_failed=resume.has_failed(log.of(candidate.id), options.time_limit_s),
            )
            for candidate, artifact in subjects.items()
        ]
        _open(trials, examples)
        if answered is not None:
            _answer([trial for trial in trials if log.of(trial.candidate.id).accuracy is None], answered, task)
        timing.take(trials, examples, options, log)
        for trial in trials:
            trial.attempt(trial.close)
    after = cautions.after(log.run)
    for found in after:
        caution(str(found))
    return *before, *after


def _check_distinct(candidates: Sequence[Artifact]) -> None:
    first: dict[str, Artifact] = {}
    for artifact in candidates:
        if artifact.manifest.id in first:
            raise InputError(
                f"{first[artifact.manifest.id].path} and {artifact.path} have the same id, {artifact.manifest.id}, by "
                "which results are told apart: give one of them."
            )
        first[artifact.manifest.id] = artifact


def _idle_on_gpu(candidates: Sequence[Artifact]) -> frozenset[str]:
    """The runtimes of the candidates that cannot use a GPU here.

    :raises InputError: if none of them can, with the reasons
    """
    runtimes = dict.fromkeys(candidate.manifest.run.runtime for candidate in candidates)
    whys = {runtime: why for runtime in runtimes if (why := why_not_on_gpu(runtime)) is not None}
    if len(whys) == len(runtimes):
        reasons = " ".join(f"{why.rstrip('.')}." for why in whys.values())
        raise InputError(f"--device cuda: none of these candidates can use the GPU. {reasons}")
    return frozenset(whys)


def _subjects(
    artifacts: Sequence[Artifact], root_id: str, options: Options, ways: Mapping[str, Ways], idle: frozenset[str]
) -> dict[Candidate, Artifact]:
    """The candidates by what they are, on a GPU in each of their variants.

    For a self-check, what the others are compared with is one more of them.

    :param idle: runtimes that cannot use the GPU, of which one variant says why
    """

    def of(artifact: Artifact) -> Ways:
        given = ways.get(artifact.manifest.id) or variants(artifact, options.device)
        return given[:1] if artifact.manifest.run.runtime in idle else given

    subjects = {described(artifact, root_id, variant): artifact for artifact in artifacts for variant in of(artifact)}
    if options.self_check:
        able = [one for one in subjects if one.runtime not in idle]
        exports = (one for one in able if one.is_float_onnx)
        first = min(exports, key=lambda one: one.name, default=able[0])  # as `standing.judge_of` has it
        twin = replace(first, id=first.id + TWIN, name=first.name + TWIN, twin_of=first.id, is_root=False)
        subjects[twin] = subjects[first]
    return subjects


def _limited(data: Dataset | None, options: Options) -> Dataset | None:
    if data is None or options.limit is None or options.limit >= len(data):
        return data
    say(f"accuracy on {options.limit} of {len(data)} rows, drawn with seed {options.seed}")
    return data.sample(options.limit, options.seed)


def _begun(
    candidates: tuple[Candidate, ...],
    root_id: str,
    task: Task,
    examples: Timed,
    answered: Dataset | None,
    options: Options,
    gpu: Gpu | None,
) -> RunBegun:
    threads = SessionOptions(options.threads, options.device).thread_count()
    return RunBegun(
        run=os.urandom(8).hex(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        root_id=root_id,
        main_metric=task.main_metric,
        max_drop_points=options.max_drop_points,
        conditions=Conditions(
            machine=conditions.machine(),
            device=options.device,
            threads=threads,
            cells=options.cells(),
            timed_examples=examples.own,
            lengths=examples.lengths,
            data=_recorded(answered) if answered is not None else None,
            seed=options.seed,
            form=timed.form(answered.examples[0]) if answered is not None else None,
            pinned_cores=cores.choose(threads),
            scenario=options.scenario,
            arrivals=options.arrivals(),
            gpu=gpu,
        ),
        candidates=candidates,
        precision=options.precision,
        time_budget_s=options.time_budget_s,
        labels=tuple(task.labels),
        targets=tuple(answered.labels.tolist()) if answered is not None and answered.labels is not None else (),
    )


def _recorded(data: Dataset) -> DataRecord:
    return DataRecord(data.source, data.fingerprint, len(data))


def _open(trials: Sequence[Trial], examples: Timed) -> None:
    with progress("opening the candidates, one process each", len(trials)) as advance:
        for trial in trials:
            trial.attempt(lambda: trial.open(examples))  # noqa: B023 - called at once
            advance()


def _answer(trials: Sequence[Trial], data: Dataset, task: Task) -> None:
    title = f"answering {len(data)} rows with each of {len(trials)} candidates"
    with progress(title, len(data) * len(trials)) as advance:
        for trial in trials:
            trial.attempt(lambda: trial.answer(data, task, advance))  # noqa: B023 - called at once
