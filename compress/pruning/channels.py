"""The parts of a convolutional network that can be cut: channels, with all that a channel passes through.

A channel that residual sums, depthwise convolutions or gates tie to others can only go together with them. Which ones
these are is read off the traced network (G. Fang et al., "DepGraph: Towards Any Structural Pruning", 2023, section 3),
by torch-pruning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch_pruning
from torch import nn

from ftc.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.pruning.scores import Inputs

Layer = nn.Conv2d | nn.Linear

_KNOWN = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
"""What channels are cut out of. A layer normalization says something else when a channel is missing, so its stay."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A layer that some channels go into or come out of.

    :param places: (P,) the layer's own numbers of them
    :param channels: (P,) which of the channels each is
    """

    layer: Layer
    places: np.ndarray
    channels: np.ndarray

    @property
    def inputs(self) -> int:
        """All channels that go into the layer."""
        return self.layer.in_channels if isinstance(self.layer, nn.Conv2d) else self.layer.in_features


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Channels of which each can stay or go by itself, in every layer at once.

    :param name: of the first layer that makes them
    :param ways: the channels fall into so many equal runs, and what goes must go from each of them alike; 1 but for
        grouped convolutions
    :param makers: layers that they come out of
    :param readers: layers that they go into and end in; a depthwise convolution passes them on, and is a maker
    :param group: what torch-pruning knows them by
    """

    name: str
    size: int
    ways: int
    makers: tuple[Member, ...]
    readers: tuple[Member, ...]
    group: Any


@dataclass(frozen=True, slots=True, eq=False)
class Uses:
    """How a row uses a layer.

    :param places: outputs of each of its channels: how often a row is multiplied with each weight
    :param values: the larger of what goes in and what comes out
    """

    layer: Layer
    places: int
    values: int


def is_depthwise(layer: nn.Module) -> bool:
    """Whether every channel of a convolution is its own."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.out_channels == layer.in_channels > 1


def channels_of(model: PreTrainedModel, inputs: Inputs, path: Path) -> tuple[Channels, ...]:
    """The channels of a network that can be cut, set by set; those of the answers are none of them.

    :param inputs: a row or more to trace the network with
    :param path: of its checkpoint, for messages
    :raises InputError: if it has none, or runs a layer twice
    """
    names = {module: name for name, module in model.named_modules()}
    model.requires_grad_(True)  # what is traced is the graph of gradients
    try:
        with torch.enable_grad():
            graph = torch_pruning.DependencyGraph().build_dependency(
                model, dict(inputs), output_transform=lambda output: output.logits, verbose=False
            )
    finally:
        model.requires_grad_(False)
    *_, last = layers_run(model, inputs).values()
    found = []
    for group in graph.get_all_groups(ignored_layers=[last.layer], root_module_types=(nn.Conv2d, nn.Linear)):
        channels = _channels(graph, group, names)
        if channels is not None:
            found.append(channels)
    if not found:
        raise InputError(
            f"{path} is a {type(model).__name__}, in which ftc finds no channels that can be cut: all of them pass "
            "through layers other than convolutions, linear layers and batch normalizations."
        )
    return tuple(found)


def layers_run(model: nn.Module, inputs: Inputs) -> dict[str, Uses]:
    """The convolutions and linear layers of a network by name, in the order in which they run.

    :param inputs: a row or more to run the network with
    :raises InputError: if one runs twice: cut for the one place, it would be cut for the other
    """
    names = {module: name for name, module in model.named_modules()}
    found: dict[str, Uses] = {}
    rows = len(next(iter(inputs.values())))

    def hook(layer: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        assert isinstance(layer, Layer)
        if names[layer] in found:
            raise InputError(
                f"A {type(model).__name__} runs its layer {names[layer]} more than once, so that it cannot be cut."
            )
        made = layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features
        values = max(arguments[0].numel(), output.numel()) // rows
        found[names[layer]] = Uses(layer, output.numel() // (rows * made), values)

    with ExitStack() as hooks, torch.no_grad():
        for module in model.modules():
            if isinstance(module, Layer):
                hooks.enter_context(module.register_forward_hook(hook))
        model(**inputs)
    return found


def cut_channels(channels: Channels, kept: np.ndarray) -> None:
    """Take channels out of a network, in place, everywhere they pass through.

    :param kept: (C,) bool
    """
    gone = np.flatnonzero(~kept).tolist()
    if gone:
        channels.group.prune(gone)


def _channels(graph: Any, group: Any, names: Mapping[nn.Module, str]) -> Channels | None:
    makers: list[Member] = []
    readers: list[Member] = []
    ways = 1
    size = len(group[0].idxs)
    for item in group:
        module, makes = item.dep.target.module, graph.is_out_channel_pruning_fn(item.dep.handler)
        if isinstance(module, nn.Parameter) or (module in names and not _known(module)):
            return None
        if not isinstance(module, Layer):
            continue
        if None in item.root_idxs:
            return None
        member = Member(module, np.array(item.idxs), np.array(item.root_idxs))
        if is_depthwise(module):
            if not any(maker.layer is module for maker in makers):
                makers.append(member)
            continue
        (makers if makes else readers).append(member)
        if isinstance(module, nn.Conv2d):
            ways = math.lcm(ways, module.groups)
    if size % ways:
        return None
    return Channels(names[group[0].dep.target.module], size, ways, tuple(makers), tuple(readers), group)


def _known(module: nn.Module) -> bool:
    return isinstance(module, _KNOWN) or next(module.parameters(), None) is None


def gone(channels: Channels, kept: np.ndarray) -> Iterator[tuple[Layer, np.ndarray]]:
    """The layers that make some channels, with the numbers of their outputs that go.

    :param kept: (C,) bool
    """
    for maker in channels.makers:
        yield maker.layer, maker.places[~kept[maker.channels]]
