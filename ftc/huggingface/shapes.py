"""Networks whose matrices are smaller than their configuration says: the shapes that pruning has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ftc.errors import InputError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel


def resized(network: type[PreTrainedModel], shapes: Mapping[str, tuple[int, ...]]) -> type[PreTrainedModel]:
    """A network class whose linear layers have other sizes from the start, so that transformers loads what is left.

    :param shapes: as for `resize`
    """

    def initialize(self: PreTrainedModel, config: PretrainedConfig, *arguments: Any, **others: Any) -> None:
        network.__init__(self, config, *arguments, **others)
        resize(self, shapes)

    return type(network.__name__, (network,), {"__init__": initialize, "__module__": network.__module__})


def resize(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give linear layers other sizes, in place; their values are to be loaded afterwards.

    :param shapes: (out, in) of the weight of each linear layer that differs, by its name in the network
    :raises InputError: if a name is none of a linear layer, or a shape is none of a matrix
    """
    import torch

    modules = dict(model.named_modules())
    for name, shape in shapes.items():
        linear = modules.get(name)
        if not isinstance(linear, torch.nn.Linear) or len(shape) != 2:
            raise InputError(f"the manifest gives {name!r} the shape {shape}; it is no linear layer. Make it again.")
        linear.out_features, linear.in_features = shape
        empty = linear.weight.new_empty
        linear.weight = torch.nn.Parameter(empty(shape))
        if linear.bias is not None:
            linear.bias = torch.nn.Parameter(empty(shape[:1]))
