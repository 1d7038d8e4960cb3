"""How much each head and neuron matters to what the network answers: a Gauss-Newton diagonal of masks over them.

W. Kwon et al., "A Fast Post-Training Pruning Framework for Transformers" (2022), section 4.1, score with squared
gradients of the training loss with respect to masks of ones. Here it is the answers' gradients that are squared, all
classes together (J. Martens, "New Insights and Perspectives on the Natural Gradient Method", 2020, section 8): the loss
of a network that is sure of most rows tells of the few others alone. Of a 6-layer BERT on SST-2 with a third of its
encoder left, answers agreed with the whole one's on 96.5 % of 6,735 rows so, and on 95.4 % with the loss; and no labels
are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.pruning.encoder import Layer

SEED = 0
"""Of the directions in which answers are looked at where there are more than two classes."""

DIRECTIONS = 4
"""Random signs of the classes; what they measure averages to the sum over all classes (M. Hutchinson, 1989)."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The mean square of what a row's answer changes by, to first order, if a part of a layer is masked.

    :param heads: (H,) float64
    :param neurons: (N,) float64
    """

    heads: np.ndarray
    neurons: np.ndarray


Inputs = Mapping[str, torch.Tensor]
"""Rows (B, ...) as the network takes them."""


def scores(
    model: PreTrainedModel, layers: Sequence[Layer], batches: Iterable[Inputs], advance: Callable[[int], None]
) -> tuple[Scores, ...]:
    """The score of every head and neuron, one `Scores` for each layer.

    :param advance: is told of rows that are done
    """
    drawing = torch.Generator().manual_seed(SEED)
    sums = [Scores(np.zeros(layer.heads), np.zeros(layer.neurons)) for layer in layers]
    total = 0
    with torch.enable_grad():
        for inputs in batches:
            rows = len(next(iter(inputs.values())))
            masks = [(torch.ones(rows, layer.heads), torch.ones(rows, layer.neurons)) for layer in layers]
            flat = [mask.requires_grad_() for pair in masks for mask in pair]
            with ExitStack() as hooks:
                for layer, (heads, neurons) in zip(layers, masks, strict=True):
                    wide = heads.repeat_interleave(layer.head_size, dim=1)
                    for module, mask in ((layer.mixed, wide), (layer.down, neurons)):
                        hooks.enter_context(module.register_forward_pre_hook(_masking(mask)))
                logits = model(**inputs).logits
            # a shift of all logits is no other answer
            answers = logits - logits.mean(dim=1, keepdim=True)
            drawn = directions(rows, logits.shape[1], drawing)
            for number, direction in enumerate(drawn):
                # rows do not see each other: the gradient of the sum holds each row's own
                gradients = torch.autograd.grad((answers * direction).sum(), flat, retain_graph=number < len(drawn) - 1)
                for place, layer_sums in enumerate(sums):
                    layer_sums.heads[:] += gradients[2 * place].double().square().sum(0).numpy() / len(drawn)
                    layer_sums.neurons[:] += gradients[2 * place + 1].double().square().sum(0).numpy() / len(drawn)
            total += rows
            advance(rows)
    return tuple(Scores(layer_sums.heads / total, layer_sums.neurons / total) for layer_sums in sums)


def directions(rows: int, classes: int, drawing: torch.Generator) -> list[torch.Tensor]:
    """Weights of the classes, (1 or rows, classes) each, along which the answers of rows are looked at."""
    if classes == 2:
        return [torch.tensor([[1.0, -1.0]])]
    return [torch.randint(0, 2, (rows, classes), generator=drawing) * 2.0 - 1 for _ in range(DIRECTIONS)]


def _masking(mask: torch.Tensor) -> Callable[[torch.nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    def hook(module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (arguments[0] * mask[:, None, :], *arguments[1:])

    return hook
