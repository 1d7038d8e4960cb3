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
    sample_bytes = sum(4 * len(use.layer.weight) for use in uses.values())
    samples = min(MOST_SAMPLES, MOST_TARGET_BYTES // max(1, sample_bytes))
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


def restate_statistics(model: PreTrainedModel, inputs: Inputs) -> None:
    """Give batch normalizations the statistics of these rows, in place, and scales and shifts that make up for it.

    What the network answers stays. Statistics measured anew after a cut then change what the cut did, and nothing that
    the rows or the training did: where normalizations were folded into convolutions, theirs are of nothing any more.
    """
    rows = len(next(iter(inputs.values())))
    sums: dict[nn.BatchNorm2d, list[torch.Tensor]] = {}

    def hook(norm: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        values = arguments[0].double()
        found = [values.new_tensor(values[:, 0].numel()), values.sum((0, 2, 3)), values.square().sum((0, 2, 3))]
        sums[norm] = [one + other for one, other in zip(sums[norm], found, strict=True)] if norm in sums else found

    with ExitStack() as hooks, torch.no_grad():
        for norm in _norms(model):
            hooks.enter_context(norm.register_forward_pre_hook(hook))
        for start in range(0, rows, _CHUNK):
            model(**{name: values[start : start + _CHUNK] for name, values in inputs.items()})
        for norm, (count, total, squares) in sums.items():
            assert norm.running_mean is not None
            assert norm.running_var is not None
            mean = total / count
            variance = (squares / count - mean.square()).clamp_min(0)
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            norm.bias.add_((mean - norm.running_mean) * scale)
            norm.weight.copy_(scale * (variance + norm.eps).sqrt())
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)


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
        for norm in _norms(model):
            hooks.enter_context(norm.register_forward_pre_hook(_measure))
        for name, outputs in wanted.items():
            target = outputs[:, :, torch.from_numpy(kept[name])]
            hooks.enter_context(model.get_submodule(name).register_forward_hook(_solving(target, advance)))
        model(**inputs)


def can_be_solved(layer: Layer) -> bool:
    """Whether all inputs of a layer take part in all of its outputs, and are padded with zeros if at all."""
    if isinstance(layer, nn.Linear):
        return True
    padded_plainly = layer.padding != "same" or max(layer.kernel_size) == 1
    return layer.groups == 1 and padded_plainly and layer.padding_mode == "zeros"


def _measure(norm: nn.Module, arguments: tuple[Any, ...]) -> None:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    variance, mean = torch.var_mean(arguments[0], dim=(0, 2, 3), correction=0)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch normalizations of a network that have statistics, scales and shifts of their own."""
    found = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    return [norm for norm in found if norm.track_running_stats and norm.affine]


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
