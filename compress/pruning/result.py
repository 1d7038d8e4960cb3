"""A pruned network as an artifact: saved as transformers saves, with what config.json cannot say of it, and scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compress.parity import answers
from compress.pruning.rows import BATCH
from compress.step import Made
from ftc.artifact import Artifact
from ftc.console import progress
from ftc.huggingface.files import carry
from ftc.huggingface.model import WEIGHTS_FILE, shapes_unlike_configured, with_operations_counted
from ftc.manifest import Cut, PruningRecord, RunInstructions
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftc.data import Dataset
    from ftc.manifest import Preprocessing
    from ftc.tasks.task import Task


def made(
    model: PreTrainedModel,
    source: Artifact,
    draft: Path,
    removed: tuple[Cut, ...],
    checked: Dataset | None = None,
    preprocessing: Preprocessing | None = None,
) -> Made:
    """Save a network that a step cut down, and say what the step took out of it.

    :param source: the checkpoint it was before
    :param checked: labelled rows to score both with; they decided nothing
    :param preprocessing: how examples become its inputs, if otherwise than for the source
    """
    model.save_pretrained(draft)
    carry(source.path, draft)
    before = with_operations_counted(source)
    record = PruningRecord(
        shapes=shapes_unlike_configured(model, source),
        removed=removed,
        parameters_before=before.parameters,
        parameters_after=sum(parameter.numel() for parameter in model.parameters()),
        multiply_accumulates_before=before.multiply_accumulates,
        multiply_accumulates_after=None,
    )
    run = RunInstructions("torch", WEIGHTS_FILE, source.manifest.run.session_config)
    made = Artifact(draft, replace(source.manifest, run=run, pruning=record))
    facts = replace(with_operations_counted(made), size_bytes=(draft / WEIGHTS_FILE).stat().st_size)
    record = replace(record, multiply_accumulates_after=facts.multiply_accumulates)
    if checked is not None:
        record = _scored(record, source, made, checked)
    manifest = source.manifest
    return Made(
        run=run,
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        facts=facts,
        preprocessing=preprocessing,
        pruning=record,
    )


def _scored(record: PruningRecord, source: Artifact, made: Artifact, data: Dataset) -> PruningRecord:
    task = open_task(source)
    with progress("scoring before and after", 2 * len(data)) as advance:
        before, after = (_score(artifact, task, data, advance) for artifact in (source, made))
    return replace(record, metric=task.main_metric, score_before=before, score_after=after, rows=len(data))


def _score(artifact: Artifact, task: Task, data: Dataset, advance: Callable[[int], None]) -> float:
    size = BATCH[artifact.manifest.preprocessing.kind]
    found = answers(artifact, data.examples, task, batch_size=size, advance=advance)
    assert data.labels is not None, "asked for where there are labels"
    return task.score({artifact.manifest.output: found}, data.labels)[task.main_metric]
