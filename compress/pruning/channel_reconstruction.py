"""What is left of a convolutional network takes over what was cut: layer after layer, in one pass over the data.

All rows pass through a layer at once, so that it is solved for before they go on to the next one: every layer also
makes up for those before it, and every batch normalization has the statistics of what it is then given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from compress.pruning.channels import Layer, Uses
from compress.pruning.least_squares import LeastSquares

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

    from compress.pruning.scores import Inputs

MOST_SAMPLES = 32768
"""Outputs of a layer, over all rows, that it is solved for with: more change nothing that can be measured."""

MOST_TARGET_BYTES = 2**30
"""Of the dense network's outputs that are kept to compare with, all layers together."""

_CHUNK = 32
_SEED = 0


def wanted_outputs(model: PreTrainedModel, uses: Mapping[str, Uses], inputs: Inputs) -> dict[str, torch.Tensor]:
    """What the layers of a whole network make of all rows, at some places of each: (B, P, out), by name.

    :param uses: the layers, with the number of places that each of them has
    """
    rows = len(next(iter(inputs.values())))
    width = sum(len(use.layer.weight) for use in uses.values())
    samples = min(MOST_SAMPLES, MOST_TARGET_BYTES // (4 * width))
    found: dict[str, list[torch.Tensor]] = {name: [] for name in uses}

    def keeping(name: str) -> Callable[[nn.Module, tuple[Any, ...], torch.Tensor], None]:
        places = _places(uses[name].places, math.ceil(samples / rows))
        return lambda layer, _, output: found[name].append(_by_place(layer, output)[:, places])

    with ExitStack() as hooks, torch.no_grad():
        for name in uses:
            hooks.enter_context(model.get_submodule(name).register_forward_hook(keeping(name)))
        for start in range(0, rows, _CHUNK):
            model(**{name: values[start : start + _CHUNK] for name, values in inputs.items()})
    return {name: torch.cat(outputs) for name, outputs in found.items()}


def rebuild_channels(
    model: PreTrainedModel,
    wanted: Mapping[str, torch.Tensor],
    kept: Mapping[str, np.ndarray],
    inputs: Inputs,
    advance: Callable[[int], None],
) -> None:
    """Solve for every layer of a network that lost inputs, and measure its batch normalizations anew, in place.

    :param wanted: what the layers made of the same rows when the network was whole, as `wanted_outputs` has it
    :param kept: the numbers of each layer's outputs that are left
    :param advance: is told of every layer that is done
    """
    with ExitStack() as hooks, torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                hooks.enter_context(module.register_forward_pre_hook(_measure))
            elif name in wanted:
                target = wanted[name][:, :, torch.from_numpy(kept[name])]
                hooks.enter_context(module.register_forward_hook(_solving(target, advance)))
        model(**inputs)


def can_be_solved(layer: Layer) -> bool:
    """Whether all inputs of a layer take part in all of its outputs, and are padded with zeros if at all."""
    if isinstance(layer, nn.Linear):
        return True
    return layer.groups == 1 and layer.padding != "same" and layer.padding_mode == "zeros"


def _measure(norm: nn.Module, arguments: tuple[Any, ...]) -> None:
    assert isinstance(norm, nn.BatchNorm2d)
    if norm.running_mean is not None and norm.running_var is not None:
        variance, mean = torch.var_mean(arguments[0], dim=(0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _solving(
    target: torch.Tensor, advance: Callable[[int], None]
) -> Callable[[nn.Module, tuple[Any, ...], torch.Tensor], torch.Tensor]:
    def hook(layer: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        assert isinstance(layer, Layer)
        (inputs,) = arguments
        sums = LeastSquares(layer)
        outputs = _by_place(layer, output)
        places = _places(outputs.shape[1], target.shape[1])
        for start in range(0, len(inputs), _CHUNK):
            rows = slice(start, start + _CHUNK)
            patches = _patches(layer, inputs[rows])[:, places]
            lacking = target[rows] - outputs[rows][:, places]
            sums.add(patches.flatten(0, 1), lacking.flatten(0, 1))
        sums.solve()
        advance(1)
        solved: torch.Tensor = layer.forward(inputs)
        return solved

    return hook


def _places(all_of_them: int, most: int) -> torch.Tensor:
    if most >= all_of_them:
        return torch.arange(all_of_them)
    return torch.randperm(all_of_them, generator=torch.Generator().manual_seed(_SEED))[:most].sort().values


def _by_place(layer: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Values (B, C, H, W) at a convolution or (B, ..., C) at a linear layer, as (B, places, C)."""
    if isinstance(layer, nn.Conv2d):
        return values.flatten(2).transpose(1, 2)
    return values.reshape(len(values), -1, values.shape[-1])


def _patches(layer: Layer, inputs: torch.Tensor) -> torch.Tensor:
    """What each output is made of, (B, places, in)."""
    if isinstance(layer, nn.Linear):
        return _by_place(layer, inputs)
    padding = (0, 0) if isinstance(layer.padding, str) else layer.padding
    patches = nn.functional.unfold(inputs, layer.kernel_size, layer.dilation, padding, layer.stride)
    return patches.transpose(1, 2)
