"""How much each head and neuron matters: the diagonal of the Fisher information of masks over them.

W. Kwon et al., "A Fast Post-Training Pruning Framework for Transformers" (2022), section 4.1: with a mask of ones over
heads and neurons, the loss grows by about half the sum of the masked ones' squared gradients, averaged over examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.pruning.encoder import Layer

SEED = 0
"""Of the labels that are drawn from the network's own answers where the data has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the loss grows by, about, if a part of a layer is masked.

    :param heads: (H,) float64
    :param neurons: (N,) float64
    """

    heads: np.ndarray
    neurons: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows as the network takes them.

    :param labels: (B,) int64 class ids, None without labels
    """

    inputs: Mapping[str, torch.Tensor]
    labels: torch.Tensor | None

    @property
    def rows(self) -> int:
        """The number of rows, B."""
        return len(next(iter(self.inputs.values())))


def scores(
    model: PreTrainedModel, layers: Sequence[Layer], batches: Iterable[Batch], advance: Callable[[int], None]
) -> tuple[Scores, ...]:
    """The score of every head and neuron, one `Scores` for each layer.

    Where rows have no labels, labels are drawn from the network's own answers, as the definition of the Fisher
    information has it.
    """
    drawing = torch.Generator().manual_seed(SEED)
    sums = [Scores(np.zeros(layer.heads), np.zeros(layer.neurons)) for layer in layers]
    rows = 0
    with torch.enable_grad():
        for batch in batches:
            masks = [(torch.ones(batch.rows, layer.heads), torch.ones(batch.rows, layer.neurons)) for layer in layers]
            flat = [mask.requires_grad_() for pair in masks for mask in pair]
            with ExitStack() as hooks:
                for layer, (heads, neurons) in zip(layers, masks, strict=True):
                    wide = heads.repeat_interleave(layer.head_size, dim=1)
                    for module, mask in ((layer.mixed, wide), (layer.down, neurons)):
                        hooks.callback(module.register_forward_pre_hook(_masking(mask)).remove)
                logits = model(**batch.inputs).logits
            labels = batch.labels
            if labels is None:
                labels = torch.multinomial(logits.detach().softmax(-1), 1, generator=drawing)[:, 0]
            # rows do not see each other: the gradient of the sum holds each row's own
            gradients = torch.autograd.grad(cross_entropy(logits, labels, reduction="sum"), flat)
            for place, layer_sums in enumerate(sums):
                layer_sums.heads[:] += gradients[2 * place].double().square().sum(0).numpy()
                layer_sums.neurons[:] += gradients[2 * place + 1].double().square().sum(0).numpy()
            rows += batch.rows
            advance(batch.rows)
    return tuple(Scores(layer_sums.heads / (2 * rows), layer_sums.neurons / (2 * rows)) for layer_sums in sums)


def _masking(mask: torch.Tensor) -> Callable[[torch.nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    def hook(module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (arguments[0] * mask[:, None, :], *arguments[1:])

    return hook
