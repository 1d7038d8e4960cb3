"""Pruning transformer encoders: fewer heads and narrower feed-forward networks, and the rest makes up for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from compress.pruning.encoder import Layer, layers_of
from compress.pruning.reconstruction import rebuild
from compress.pruning.scores import Inputs, scores
from compress.pruning.selection import Cost, select
from compress.step import Made
from ftc.artifact import Artifact
from ftc.console import progress
from ftc.errors import InputError
from ftc.huggingface.files import carry
from ftc.huggingface.model import WEIGHTS_FILE, load_model, with_operations_counted
from ftc.manifest import Cut, PruningRecord, RunInstructions
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftc.data import Dataset
    from ftc.tasks.task import Task

LEAST_ROWS = 32
"""Fewer rows say too little of a network's thousands of neurons."""

CHECKED = 5
"""One in so many labelled rows decides nothing: the score before and after is taken on these, at most 512."""

_MOST_CHECKED = 512
_SEED = 0
_BATCH = {"text": 32, "image": 8}


@dataclass(frozen=True, slots=True)
class PruneEncoder:
    """Heads and neurons of all layers compete for one budget of parameters, and the output projections are solved anew.

    :param keep: part (0-1) of the encoder layers' parameters that stays
    """

    keep: float = 0.5

    name: ClassVar[str] = "prune-encoder"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise InputError(f"--keep {self.keep}: give the part of the encoder that stays, above 0 and at most 1.")

    @property
    def suffix(self) -> str:
        return f"keep-{self.keep:g}"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        if data is None or len(data) < LEAST_ROWS:
            raise InputError(
                f"{self.name} needs at least {LEAST_ROWS} rows to tell which parts matter, better 2,000 texts or 250 "
                f"images; there are {0 if data is None else len(data)}."
            )
        checked, deciding = _split(data)
        model = load_model(source)
        layers = layers_of(model, source.path)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        before = [(layer.heads, layer.neurons) for layer in layers]
        _prune(model, layers, self.keep, list(_batches(source, deciding)), source.path)
        model.save_pretrained(draft)
        carry(source.path, draft)
        record = PruningRecord(
            shapes=_shapes(model, layers),
            removed=tuple(_cuts(layers, before)),
            parameters_before=parameters,
            parameters_after=sum(parameter.numel() for parameter in model.parameters()),
            multiply_accumulates_before=with_operations_counted(source).multiply_accumulates,
            multiply_accumulates_after=None,
        )
        run = RunInstructions("torch", WEIGHTS_FILE, source.manifest.run.session_config)
        made = Artifact(draft, replace(source.manifest, run=run, pruning=record))
        facts = replace(with_operations_counted(made), size_bytes=(draft / WEIGHTS_FILE).stat().st_size)
        record = replace(record, multiply_accumulates_after=facts.multiply_accumulates)
        if checked is not None:
            record = _scored(record, source, made, checked)
        manifest = source.manifest
        return Made(run=run, inputs=manifest.inputs, outputs=manifest.outputs, facts=facts, pruning=record)


def _split(data: Dataset) -> tuple[Dataset | None, Dataset]:
    """The rows to check with, if they have labels, and the rows to decide with."""
    if data.labels is None:
        return None, data
    checked, deciding = data.split(min(len(data) // CHECKED, _MOST_CHECKED), _SEED)
    assert deciding is not None, "a fifth is not all"
    return checked, deciding


def _prune(model: PreTrainedModel, layers: tuple[Layer, ...], keep: float, batches: list[Inputs], path: Path) -> None:
    rows = sum(len(next(iter(inputs.values()))) for inputs in batches)
    with progress("scoring heads and neurons", rows) as advance:
        found = scores(model, layers, batches, advance)
    costs = [Cost(layer.head_parameters, layer.neuron_parameters) for layer in layers]
    can_go = sum(
        layer.heads * cost.head + layer.neurons * cost.neuron for layer, cost in zip(layers, costs, strict=True)
    )
    everything = sum(layer.parameters for layer in layers)
    try:
        kept = select(found, costs, can_go - (1 - keep) * everything)
    except ValueError as error:
        raise InputError(
            f"{path}: --keep {keep:g} is less than the norms, biases, one head and eight neurons of each layer take. "
            "Keep more."
        ) from error
    with progress("cutting, and solving for what is left", len(layers)) as advance:
        rebuild(model, layers, kept, batches, advance)


def _batches(source: Artifact, data: Dataset) -> Iterator[Inputs]:
    """Rows of similar length together, so that little is padding."""
    task = open_task(source)
    lengths = [task.length(example) for example in data.examples]
    order = sorted(range(len(data)), key=lengths.__getitem__)
    size = _BATCH[source.manifest.preprocessing.kind]
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        encoded = task.encode([data.examples[row] for row in rows])
        yield {name: torch.from_numpy(values) for name, values in encoded.items()}


def _shapes(model: PreTrainedModel, layers: tuple[Layer, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of all matrices in the layers: what config.json says of them holds no longer."""
    inside = tuple(f"{layer.name}." for layer in layers)
    return {
        name: tuple(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith(inside)
    }


def _cuts(layers: tuple[Layer, ...], before: list[tuple[int, int]]) -> Iterator[Cut]:
    for layer, (heads, neurons) in zip(layers, before, strict=True):
        yield Cut(layer.name, "heads", heads, layer.heads)
        yield Cut(layer.name, "neurons", neurons, layer.neurons)


def _scored(record: PruningRecord, source: Artifact, made: Artifact, data: Dataset) -> PruningRecord:
    task = open_task(source)
    with progress("scoring before and after", 2 * len(data)) as advance:
        before, after = (_score(artifact, task, data, advance) for artifact in (source, made))
    return replace(record, metric=task.main_metric, score_before=before, score_after=after, rows=len(data))


def _score(artifact: Artifact, task: Task, data: Dataset, advance: Callable[[int], None]) -> float:
    session, output, answers = open_session(artifact), artifact.manifest.output, []
    size = _BATCH[artifact.manifest.preprocessing.kind]
    for start in range(0, len(data), size):
        examples = data.examples[start : start + size]
        answers.append(session.run(task.encode(examples))[output])
        advance(len(examples))
    assert data.labels is not None, "asked for where there are labels"
    return task.score({output: np.concatenate(answers)}, data.labels)[task.main_metric]
