"""How much each channel matters, in one of three ways; a larger score matters more, and scores of all sets compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import torch

from compress.choices import Importance
from compress.pruning.scores import SEED, directions

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.pruning.channels import Channels, Member
    from compress.pruning.scores import Inputs


def channel_scores(
    model: PreTrainedModel,
    channels: Sequence[Channels],
    importance: Importance,
    batches: Iterable[Inputs],
    advance: Callable[[int], None],
) -> tuple[np.ndarray, ...]:
    """The score of every channel, (C,) float64 for each set.

    ``magnitude`` is the mean of squared weights that make and read a channel, in parts of its set's mean, and looks at
    no data. The others put a mask of ones before all readers of a channel, so that its gradient is what the answers
    change by, to first order, if the channel goes. ``taylor`` is the mean size of the gradient of the loss for the
    network's own labels (P. Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019, section 3.1);
    ``hessian`` is the mean square of the answers' gradients, as `compress.pruning.scores` has it for heads.

    :param advance: is told of rows that are done
    """
    if importance is Importance.MAGNITUDE:
        return tuple(_magnitudes(each) for each in channels)
    drawing = torch.Generator().manual_seed(SEED)
    sums = [np.zeros(each.size) for each in channels]
    total = 0
    with torch.enable_grad():
        for inputs in batches:
            rows = len(next(iter(inputs.values())))
            masks = [torch.ones(rows, each.size, requires_grad=True) for each in channels]
            with ExitStack() as hooks:
                for each, mask in zip(channels, masks, strict=True):
                    for reader in each.readers:
                        hooks.enter_context(reader.layer.register_forward_pre_hook(_masking(reader, mask)))
                logits = model(**inputs).logits
            if importance is Importance.TAYLOR:
                own = torch.nn.functional.cross_entropy(logits, logits.argmax(1), reduction="sum")
                gradients = torch.autograd.grad(own, masks)
                for place, gradient in enumerate(gradients):
                    sums[place] += gradient.double().abs().sum(0).numpy()
            else:
                answers = logits - logits.mean(dim=1, keepdim=True)
                drawn = directions(rows, logits.shape[1], drawing)
                for number, direction in enumerate(drawn):
                    gradients = torch.autograd.grad(
                        (answers * direction).sum(), masks, retain_graph=number < len(drawn) - 1
                    )
                    for place, gradient in enumerate(gradients):
                        sums[place] += gradient.double().square().sum(0).numpy() / len(drawn)
            total += rows
            advance(rows)
    return tuple(each / total for each in sums)


def _magnitudes(channels: Channels) -> np.ndarray:
    squares, layers = np.zeros(channels.size), 0
    for makes, members in ((True, channels.makers), (False, channels.readers)):
        for member in members:
            weight = member.layer.weight.double().square()
            by_channel = weight.flatten(1).sum(1) if makes else weight.transpose(0, 1).flatten(1).sum(1)
            own = np.resize(by_channel.numpy(), member.places.max() + 1)[member.places]
            np.add.at(squares, member.channels, own)
            layers += 1
    found: np.ndarray = squares / layers
    found /= found.mean()
    return found


def _masking(
    reader: Member, mask: torch.Tensor
) -> Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor]]:
    def hook(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        (inputs,) = arguments
        width = reader.inputs
        wide = torch.ones(len(mask), width).index_copy(1, torch.from_numpy(reader.places), mask[:, reader.channels])
        if isinstance(module, torch.nn.Conv2d):
            return (inputs * wide[:, :, None, None],)
        return (inputs * wide.reshape(len(mask), *[1] * (inputs.ndim - 2), width),)

    return hook
