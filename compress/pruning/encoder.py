"""The parts of a transformer encoder that can be cut: attention heads and neurons of the feed-forward networks."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from ftc.errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a family of architectures keeps the parts of one encoder layer, as names below the layer.

    :param mixed: the projection of what the heads have gathered back to the residual stream
    :param after_attention: the module whose input is the residual stream behind the attention
    :param down: the second matrix of the feed-forward network, back to the residual stream
    :param after_network: the module whose input is the stream behind the network; None where the layer returns it
    """

    query: str
    key: str
    value: str
    mixed: str
    after_attention: str
    up: str
    down: str
    after_network: str | None


LAYOUTS = (
    # BERT and what was built like it: RoBERTa, ELECTRA, XLM-RoBERTa, CamemBERT, MiniLM
    Layout(
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    ),
    # DistilBERT
    Layout(
        "attention.q_lin",
        "attention.k_lin",
        "attention.v_lin",
        "attention.out_lin",
        "sa_layer_norm",
        "ffn.lin1",
        "ffn.lin2",
        "output_layer_norm",
    ),
    # ViT and DeiT, which normalize before a block and not behind it
    Layout(
        "attention.q_proj",
        "attention.k_proj",
        "attention.v_proj",
        "attention.o_proj",
        "layernorm_after",
        "mlp.fc1",
        "mlp.fc2",
        None,
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One encoder layer of a network, with the modules that cutting touches.

    :param name: of the layer in the network
    :param head_size: width of one attention head
    """

    name: str
    module: nn.Module
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    mixed: nn.Linear
    up: nn.Linear
    down: nn.Linear
    after_attention: nn.Module
    after_network: nn.Module | None
    head_size: int

    @property
    def heads(self) -> int:
        """Attention heads that are left."""
        return self.query.out_features // self.head_size

    @property
    def neurons(self) -> int:
        """Neurons of the feed-forward network that are left."""
        return self.up.out_features

    @property
    def head_parameters(self) -> int:
        """Parameters that go with one head."""
        inner = (self.query, self.key, self.value)
        rows = sum(linear.in_features + (linear.bias is not None) for linear in inner)
        return self.head_size * (rows + self.mixed.out_features)

    @property
    def neuron_parameters(self) -> int:
        """Parameters that go with one neuron."""
        return self.up.in_features + (self.up.bias is not None) + self.down.out_features

    @property
    def parameters(self) -> int:
        """All parameters of the layer."""
        return sum(parameter.numel() for parameter in self.module.parameters())


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What stays of one layer.

    :param heads: (H,) bool
    :param neurons: (N,) bool
    """

    heads: np.ndarray
    neurons: np.ndarray


def layers_of(model: PreTrainedModel, path: Path) -> tuple[Layer, ...]:
    """The encoder layers of a network, first to last.

    :param path: of its checkpoint, for messages
    :raises InputError: if it has none that can be cut, or several of them share their weights
    """
    for name, blocks in model.named_modules():
        layout = next((layout for layout in LAYOUTS if _fits(blocks, layout)), None)
        if layout is None or not isinstance(blocks, nn.ModuleList):
            continue
        found = tuple(_layer(f"{name}.{number}", block, layout, model.config) for number, block in enumerate(blocks))
        if len({id(layer.query.weight) for layer in found}) < len(found):
            raise InputError(f"{path}: its encoder layers share their weights, so that none can be cut by itself.")
        return found
    raise InputError(
        f"{path} is a {type(model).__name__}, whose layers ftc cannot cut by heads and neurons; "
        "it can with BERT, RoBERTa, DistilBERT, ELECTRA, ViT, DeiT, and what is built like them."
    )


def cut(layer: Layer, kept: Kept) -> None:
    """Take heads and neurons out of a layer, in place: its matrices become smaller."""
    rows = torch.from_numpy(np.repeat(kept.heads, layer.head_size))
    for linear in (layer.query, layer.key, layer.value):
        _keep_outputs(linear, rows)
    _keep_inputs(layer.mixed, rows)
    neurons = torch.from_numpy(kept.neurons)
    _keep_outputs(layer.up, neurons)
    _keep_inputs(layer.down, neurons)


def _fits(blocks: nn.Module, layout: Layout) -> bool:
    if not isinstance(blocks, nn.ModuleList) or not len(blocks):
        return False
    names = {name for name, _ in blocks[0].named_modules()}
    return {name for name in astuple(layout) if name is not None} <= names


def _layer(name: str, block: nn.Module, layout: Layout, config: PretrainedConfig) -> Layer:
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads

    def linear(place: str) -> nn.Linear:
        return cast("nn.Linear", block.get_submodule(place))

    return Layer(
        name=name,
        module=block,
        query=linear(layout.query),
        key=linear(layout.key),
        value=linear(layout.value),
        mixed=linear(layout.mixed),
        up=linear(layout.up),
        down=linear(layout.down),
        after_attention=block.get_submodule(layout.after_attention),
        after_network=None if layout.after_network is None else block.get_submodule(layout.after_network),
        head_size=head_size,
    )


def _keep_outputs(linear: nn.Linear, kept: torch.Tensor) -> None:
    linear.weight = nn.Parameter(linear.weight[kept].contiguous(), requires_grad=False)
    if linear.bias is not None:
        linear.bias = nn.Parameter(linear.bias[kept].contiguous(), requires_grad=False)
    linear.out_features = len(linear.weight)


def _keep_inputs(linear: nn.Linear, kept: torch.Tensor) -> None:
    linear.weight = nn.Parameter(linear.weight[:, kept].contiguous(), requires_grad=False)
    linear.in_features = linear.weight.shape[1]
