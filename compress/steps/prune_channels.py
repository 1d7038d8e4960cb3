"""Pruning convolutional networks: fewer channels, and what is left of every layer makes up for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from compress.choices import Importance
from compress.pruning.channel_reconstruction import can_be_solved, rebuild_channels, restate_statistics, wanted_outputs
from compress.pruning.channel_scores import channel_scores
from compress.pruning.channel_selection import TooLittle, select_channels, work_of
from compress.pruning.channels import Channels, Uses, channels_of, cut_channels, gone, layers_run
from compress.pruning.result import made
from compress.pruning.rows import batches, split
from compress.step import Made
from ftc.artifact import Artifact
from ftc.console import progress
from ftc.errors import InputError
from ftc.huggingface.model import load_model
from ftc.manifest import Cut

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.pruning.scores import Inputs
    from ftc.data import Dataset

MOST_VALUES = 2**27
"""What the widest layer takes in or gives out for all rows that the network is solved for with: half a gigabyte."""


@dataclass(frozen=True, slots=True)
class PruneChannels:
    """Channels of all layers compete for one budget of multiply-accumulates, and every layer is solved anew.

    :param keep: part (0-1) of a row's multiply-accumulates that stays
    :param importance: what tells a channel that matters
    """

    keep: float = 0.5
    importance: Importance = Importance.HESSIAN

    name: ClassVar[str] = "prune-channels"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise InputError(
                f"--keep {self.keep}: give the part of the multiply-accumulates that stays, above 0 and at most 1."
            )

    @property
    def suffix(self) -> str:
        return f"keep-{self.keep:g}" + ("" if self.importance is Importance.HESSIAN else f"-{self.importance}")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        checked, deciding = split(data, self.name)
        model = load_model(source)
        rows = list(batches(source, deciding))
        uses = layers_run(model, rows[0])
        channels = channels_of(model, rows[0], source.path)
        kept = self._select(model, channels, uses, rows, source.path)
        if not all(mask.all() for mask in kept):
            _cut(model, channels, kept, uses, rows)
        removed = tuple(
            Cut(each.name, "channels", each.size, int(mask.sum())) for each, mask in zip(channels, kept, strict=True)
        )
        return made(model, source, draft, removed, checked)

    def _select(
        self,
        model: PreTrainedModel,
        channels: tuple[Channels, ...],
        uses: Mapping[str, Uses],
        rows: list[Inputs],
        path: Path,
    ) -> tuple[np.ndarray, ...]:
        with progress("scoring channels", sum(map(_rows, rows))) as advance:
            scores = channel_scores(model, channels, self.importance, rows, advance)
        try:
            return select_channels(channels, scores, uses.values(), self.keep * work_of(uses.values()))
        except TooLittle as error:
            raise InputError(
                f"{path}: --keep {self.keep:g} is less than what must stay: one channel in eight of each layer, and "
                f"all of those that cannot be cut, do {error.least:.1%} of the work. Keep more."
            ) from error


def _cut(
    model: PreTrainedModel,
    channels: tuple[Channels, ...],
    kept: tuple[np.ndarray, ...],
    uses: Mapping[str, Uses],
    rows: list[Inputs],
) -> None:
    """Take the channels out, and solve for the layers that they went into."""
    lost = {
        reader.layer for each, mask in zip(channels, kept, strict=True) if not mask.all() for reader in each.readers
    }
    solved = {name: use for name, use in uses.items() if use.layer in lost and can_be_solved(use.layer)}
    outputs = {name: np.arange(len(use.layer.weight)) for name, use in solved.items()}
    name_of = {use.layer: name for name, use in solved.items()}
    fitting = max(1, MOST_VALUES // max(use.values for use in uses.values()))
    together = _together(rows, fitting)
    with progress("looking at the whole network"):
        restate_statistics(model, together)
        wanted = wanted_outputs(model, solved, together)
    for each, mask in zip(channels, kept, strict=True):
        for layer, out in gone(each, mask):
            if layer in name_of:
                outputs[name_of[layer]] = np.setdiff1d(outputs[name_of[layer]], out)
        cut_channels(each, mask)
    model.requires_grad_(False)
    with progress("solving for what is left", len(solved)) as advance:
        rebuild_channels(model, wanted, outputs, together, advance)


def _rows(inputs: Inputs) -> int:
    return len(next(iter(inputs.values())))


def _together(batches: list[Inputs], most: int) -> Inputs:
    """The first rows of some batches, at most so many, as one."""
    return {name: torch.cat([inputs[name] for inputs in batches])[:most] for name in batches[0]}
