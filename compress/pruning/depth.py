"""Dropping whole encoder layers: which ones answers depend on least, and a network without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from compress.pruning.reconstruction import rebuild

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.pruning.encoder import Layer
    from compress.pruning.scores import Inputs


def layers_to_keep(
    model: PreTrainedModel,
    layers: Sequence[Layer],
    count: int,
    batches: Sequence[Inputs],
    advance: Callable[[int], None],
) -> tuple[int, ...]:
    """The numbers of the `count` encoder layers that stay, ascending.

    One after the other goes the layer without which answers stay nearest to the whole network's: of all that are left,
    the one whose absence makes for the least mean Kullback-Leibler divergence between the softmaxes over the rows.

    :param layers: all of the network's, as `compress.pruning.encoder.layers_of` finds them
    :param advance: is told of every layer that was left out once; there are L + (L - 1) + ... + (count + 1)
    """
    kept = list(range(len(layers)))
    with torch.no_grad():
        wanted = [_log_probabilities(model, inputs) for inputs in batches]
        while len(kept) > count:
            losses = {}
            for number in kept:
                _set_layers(model, layers, [other for other in kept if other != number])
                losses[number] = sum(_divergence(model, *pair) for pair in zip(batches, wanted, strict=True))
                advance(1)
            kept.remove(min(kept, key=losses.__getitem__))
        _set_layers(model, layers, range(len(layers)))
    return tuple(kept)


def keep_layers(model: PreTrainedModel, layers: Sequence[Layer], numbers: Sequence[int]) -> None:
    """Leave only some encoder layers in a network, in place; its configuration then says so.

    :param layers: all of the network's
    :param numbers: of those that stay, ascending
    """
    _set_layers(model, layers, numbers)
    model.config.num_hidden_layers = len(numbers)


def rebuild_layers(
    model: PreTrainedModel,
    layers: Sequence[Layer],
    numbers: Sequence[int],
    batches: Sequence[Inputs],
    advance: Callable[[int], None],
) -> None:
    """As `keep_layers`; and each layer that stays is solved for, so that it also does what those dropped behind it did.

    :param advance: is told of every layer that is done
    """
    keep_layers(model, layers, numbers)
    ends = (*numbers[1:], len(layers))
    dropped = [tuple(layers[start + 1 : end]) for start, end in zip(numbers, ends, strict=True)]
    rebuild(
        model,
        [layers[number] for number in numbers],
        [None] * len(numbers),
        batches,
        advance,
        before=tuple(layers[: numbers[0]]),
        behind=dropped,
    )


def _set_layers(model: PreTrainedModel, layers: Sequence[Layer], numbers: Sequence[int]) -> None:
    parent, _, name = layers[0].name.rpartition(".")[0].rpartition(".")
    setattr(model.get_submodule(parent), name, nn.ModuleList(layers[number].module for number in numbers))


def _log_probabilities(model: PreTrainedModel, inputs: Inputs) -> torch.Tensor:
    return torch.log_softmax(model(**inputs).logits, dim=1)


def _divergence(model: PreTrainedModel, inputs: Inputs, wanted: torch.Tensor) -> float:
    found = _log_probabilities(model, inputs)
    return float(nn.functional.kl_div(found, wanted, log_target=True, reduction="sum"))
