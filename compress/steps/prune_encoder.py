"""Pruning transformer encoders: fewer heads and narrower feed-forward networks, and the rest makes up for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from compress.pruning.encoder import Layer, layers_of
from compress.pruning.reconstruction import rebuild
from compress.pruning.result import made
from compress.pruning.rows import batches, split
from compress.pruning.scores import Inputs, scores
from compress.pruning.selection import Cost, select
from compress.step import Made
from ftc.artifact import Artifact
from ftc.console import progress
from ftc.errors import InputError
from ftc.huggingface.model import load_model
from ftc.manifest import Cut

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftc.data import Dataset


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
        checked, deciding = split(data, self.name)
        model = load_model(source)
        layers = layers_of(model, source.path)
        before = [(layer.heads, layer.neurons) for layer in layers]
        _prune(model, layers, self.keep, list(batches(source, deciding)), source.path)
        return made(model, source, draft, tuple(cuts(layers, before)), checked)


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


def cuts(layers: tuple[Layer, ...], before: list[tuple[int, int]]) -> Iterator[Cut]:
    """What layers have lost.

    :param before: heads and neurons that each had
    """
    for layer, (heads, neurons) in zip(layers, before, strict=True):
        yield Cut(layer.name, "heads", heads, layer.heads)
        yield Cut(layer.name, "neurons", neurons, layer.neurons)
