"""What exporters trace a network on: a batch that lets them bake in neither an axis nor the mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.artifact import Artifact


def sample(source: Artifact) -> dict[str, torch.Tensor]:
    """Two rows of different length: of a batch of one, or one without padding, exporters bake in both."""
    task = open_task(source)
    rows = task.golden_examples()[:2]
    return {name: torch.from_numpy(value) for name, value in task.encode(rows).items()}


def dynamic_shapes(inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The axes that stay open, for `torch.export`: the batch, and the length of texts."""
    return {
        name: {0: torch.export.Dim.AUTO, **({1: torch.export.Dim.AUTO} if value.ndim == 2 else {})}
        for name, value in inputs.items()
    }
