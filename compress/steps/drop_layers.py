"""Dropping encoder layers: the ones that answers depend on least go, and those before them make up for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from compress.pruning.depth import layers_to_keep, rebuild_layers
from compress.pruning.encoder import layers_of
from compress.pruning.result import made
from compress.pruning.rows import batches, split
from compress.step import Made
from ftc.artifact import Artifact
from ftc.console import progress
from ftc.errors import InputError
from ftc.huggingface.model import load_model
from ftc.manifest import Cut

if TYPE_CHECKING:
    from ftc.data import Dataset

CHOOSING_ROWS = 256
"""Rows that the layers are chosen on: each is answered some L x L / 2 times."""

_SEED = 0


@dataclass(frozen=True, slots=True)
class DropLayers:
    """Encoder layers go one after the other, the least missed first; the others are solved for to do their work.

    :param layers: how many stay
    """

    layers: int = 1

    name: ClassVar[str] = "drop-layers"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return f"layers-{self.layers}"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        checked, deciding = split(data, self.name)
        model = load_model(source)
        layers = layers_of(model, source.path)
        if not 1 <= self.layers < len(layers):
            raise InputError(
                f"--layers {self.layers}: {source.path} has {len(layers)} encoder layers; give how many of them stay, "
                f"1 to {len(layers) - 1}."
            )
        choosing = list(batches(source, deciding.sample(CHOOSING_ROWS, _SEED)))
        tries = sum(range(self.layers + 1, len(layers) + 1))
        with progress("leaving out one layer at a time", tries) as advance:
            kept = layers_to_keep(model, layers, self.layers, choosing, advance)
        with progress("solving for the layers that are left", len(kept)) as advance:
            rebuild_layers(model, layers, kept, list(batches(source, deciding)), advance)
        where = layers[0].name.rpartition(".")[0]
        result = made(model, source, draft, (Cut(where, "layers", len(layers), len(kept)),), checked)
        numbers = ", ".join(str(number + 1) for number in kept)
        return replace(result, notes=(f"of {len(layers)} encoder layers, these are left: {numbers}",))
