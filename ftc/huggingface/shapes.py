"""Networks whose layers are smaller than their configuration says: the shapes that pruning has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ftc.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of the weight of each layer that has another than its configuration says, by its name in the network."""


def resized(network: type[PreTrainedModel], shapes: Shapes) -> type[PreTrainedModel]:
    """A network class whose layers have other sizes from the start, so that transformers loads what is left.

    :param shapes: as for `resize`
    """

    def initialize(self: PreTrainedModel, config: PretrainedConfig, *arguments: Any, **others: Any) -> None:
        network.__init__(self, config, *arguments, **others)
        resize(self, shapes)

    return type(network.__name__, (network,), {"__init__": initialize, "__module__": network.__module__})


def resize(model: nn.Module, shapes: Shapes) -> None:
    """Give linear layers, convolutions and batch normalizations other sizes, in place; values are loaded afterwards.

    A convolution stays in as many groups as it has, a depthwise one in as many as it has outputs then.

    :param shapes: of weights: (out, in), (out, in / groups, height, width), (channels,)
    :raises InputError: if a name is none of such a layer, or a shape is none of its weight
    """
    from torch import nn

    modules = dict(model.named_modules())
    for name, shape in shapes.items():
        layer = modules.get(name)
        if not isinstance(layer, nn.Linear | nn.Conv2d | nn.BatchNorm2d) or len(shape) != layer.weight.ndim:
            raise InputError(
                f"the manifest gives {name!r} the shape {shape}; it is no linear layer, convolution or batch "
                "normalization of that many dimensions. Make it again."
            )
        if isinstance(layer, nn.Linear):
            layer.out_features, layer.in_features = shape
        elif isinstance(layer, nn.Conv2d):
            if layer.groups == layer.in_channels == layer.out_channels > 1:
                layer.groups = shape[0]
            layer.out_channels, layer.in_channels = shape[0], shape[1] * layer.groups
        else:
            layer.num_features = shape[0]
        _resize_values(layer, shape)


def _resize_values(layer: nn.Module, shape: tuple[int, ...]) -> None:
    from torch import nn

    for name, parameter in layer.named_parameters(recurse=False):
        size = shape if name == "weight" else shape[:1]
        setattr(layer, name, nn.Parameter(parameter.new_empty(size)))
    for name, values in layer.named_buffers(recurse=False):
        if values.ndim:
            setattr(layer, name, values.new_empty(shape[:1]))


def differing(model: nn.Module, other: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's layers that are not those of another, as `resize` takes them."""
    found, others = _weights(model), _weights(other)
    return {name: tuple(weight.shape) for name, weight in found.items() if weight.shape != others[name].shape}


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    from torch import nn

    kinds = nn.Linear | nn.Conv2d | nn.BatchNorm2d
    return {name: module.weight for name, module in model.named_modules() if isinstance(module, kinds)}
