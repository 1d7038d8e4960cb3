"""What is left of a layer takes over what was cut: its output projections are solved for anew, by least squares.

W. Kwon et al., "A Fast Post-Training Pruning Framework for Transformers" (2022), section 4.3, tunes masks this way;
here whole projections are solved for, and the target is the dense network's residual stream, so that a layer also makes
up for those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from compress.pruning.encoder import Kept, Layer, cut
from compress.pruning.least_squares import LeastSquares

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.pruning.scores import Inputs


class _Seen(Exception):
    """Raised by a hook that has seen what it wanted: the rest of the layer need not run."""


@dataclass(frozen=True, slots=True, eq=False)
class _Between:
    """One batch between two layers, as the dense network has it and as the pruned one has it.

    :param tokens: (B, T) bool, positions that are no padding; None where all of them are
    :param others: what else the layer is called with, such as its mask
    """

    dense: torch.Tensor
    pruned: torch.Tensor
    tokens: torch.Tensor | None
    others: tuple[tuple[Any, ...], Mapping[str, Any]]


def rebuild(
    model: PreTrainedModel,
    layers: Sequence[Layer],
    kept: Sequence[Kept | None],
    batches: Iterable[Inputs],
    advance: Callable[[int], None],
    before: Sequence[Layer] = (),
    behind: Sequence[Sequence[Layer]] | None = None,
) -> None:
    """Cut every layer of a network, in place, and solve for its output projections, first layer to last.

    Activations between layers are kept for all batches, dense ones and pruned ones, so that no layer runs again for
    a later one.

    :param kept: of each layer; None where all of it stays
    :param advance: is told of every layer that is done
    :param before: layers that were dropped before the first one
    :param behind: layers that were dropped behind each one, whose work it takes over
    """
    with torch.no_grad():
        between = [_before(model, layers[0], inputs) for inputs in batches]
        for layer in before:
            between = [replace(batch, dense=_run(layer, batch.dense, batch)) for batch in between]
        for layer, parts, dropped in zip(layers, kept, behind or [()] * len(layers), strict=True):
            dense = deepcopy(layer)
            if parts is not None:
                cut(layer, parts)
            if dropped and layer.after_network is not None and dropped[-1].after_network is not None:
                # the stream is then normalized as behind the last of them
                layer.after_network.load_state_dict(dropped[-1].after_network.state_dict())
            attention, network = LeastSquares(layer.mixed), LeastSquares(layer.down)
            after_network, after_layer = [], []
            for batch in between:
                wanted, stream, output = _dense_streams(dense, batch)
                for other in dropped:
                    _, stream, output = _dense_streams(other, replace(batch, dense=output))
                attention.add(*_to_solve(layer, batch, layer.mixed, layer.after_attention, wanted))
                after_network.append(stream)
                after_layer.append(output)
            attention.solve()
            for batch, wanted in zip(between, after_network, strict=True):
                network.add(*_to_solve(layer, batch, layer.down, layer.after_network, wanted))
            network.solve()
            between = [
                replace(batch, dense=output, pruned=_run(layer, batch.pruned, batch))
                for batch, output in zip(between, after_layer, strict=True)
            ]
            advance(1)


def _before(model: PreTrainedModel, first: Layer, inputs: Inputs) -> _Between:
    """What the first layer is called with."""
    caught: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def hook(module: nn.Module, arguments: tuple[Any, ...], others: dict[str, Any]) -> None:
        caught.append((arguments, others))
        raise _Seen

    handle = first.module.register_forward_pre_hook(hook, with_kwargs=True)
    with handle, suppress(_Seen):
        model(**inputs)
    (hidden, *arguments), others = caught[0]
    mask = inputs.get("attention_mask")
    return _Between(hidden, hidden, None if mask is None else mask.bool(), (tuple(arguments), others))


def _run(layer: Layer, hidden: torch.Tensor, batch: _Between) -> torch.Tensor:
    arguments, others = batch.others
    output: torch.Tensor = layer.module(hidden, *arguments, **others)
    return output


def _dense_streams(layer: Layer, batch: _Between) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The dense layer's residual stream after attention and after the network, and its output."""
    streams: list[torch.Tensor] = []
    modules = [module for module in (layer.after_attention, layer.after_network) if module is not None]
    with ExitStack() as hooks:
        for module in modules:
            hooks.enter_context(module.register_forward_pre_hook(lambda _, arguments: streams.append(arguments[0])))
        output = _run(layer, batch.dense, batch)
    after_attention, after_network = (*streams, output)[:2]
    return after_attention, after_network, output


def _to_solve(
    layer: Layer, batch: _Between, linear: nn.Linear, after: nn.Module | None, wanted: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A projection's inputs (R, in) at all tokens of a batch, and what the stream behind it lacks (R, out)."""
    inputs: list[torch.Tensor] = []
    streams: list[torch.Tensor] = []

    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        streams.append(arguments[0])
        raise _Seen

    with ExitStack() as hooks:
        hooks.enter_context(linear.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0])))
        if after is not None:
            hooks.enter_context(after.register_forward_pre_hook(hook))
        with suppress(_Seen):
            streams.append(_run(layer, batch.pruned, batch))
    lacking = wanted - streams[0]
    if batch.tokens is None:
        return inputs[0].flatten(0, 1), lacking.flatten(0, 1)
    return inputs[0][batch.tokens], lacking[batch.tokens]
