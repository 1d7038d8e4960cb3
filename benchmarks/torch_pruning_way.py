"""Torch-Pruning's own way, as its example of a transformer has it, on the same checkpoint and at the same size.

Groups are ranked over all layers by magnitude, heads apart from channels, and nothing is solved for. The ratio of
channels that go is searched for until what is left is as large as asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch_pruning
from torch import nn
from transformers import PreTrainedModel

from ftc.checkpoint import load

_STEPS = 8
"""Halvings of the range of ratios: to half a hundredth."""

Inputs = Mapping[str, torch.Tensor]


def pruned(checkpoint: Path, inputs: Inputs, size: Callable[[PreTrainedModel], int], most: float) -> PreTrainedModel:
    """The network with the most left whose size is at most `most`.

    :param inputs: a row or two to trace it with
    :param size: parameters or multiply-accumulates
    """
    few, many = 0.0, 1.0
    best = None
    for _ in range(_STEPS):
        ratio = (few + many) / 2
        model = _cut(load(checkpoint), inputs, ratio)
        if size(model) <= most:
            best, many = model, ratio
        else:
            few = ratio
    assert best is not None, "half a hundredth of a network is less than was asked for"
    return best


def _cut(model: PreTrainedModel, inputs: Inputs, ratio: float) -> PreTrainedModel:
    model.requires_grad_(True)
    attention = [module for module in model.modules() if isinstance(getattr(module, "query", None), nn.Linear)]
    heads = {
        linear: module.num_attention_heads
        for module in attention
        for linear in (module.query, module.key, module.value)
    }
    *_, answers = (module for module in model.modules() if isinstance(module, nn.Linear))
    pooler = [module.dense for name, module in model.named_modules() if name.endswith("pooler") and attention]
    pruner = torch_pruning.pruner.MetaPruner(
        model,
        dict(inputs),
        importance=torch_pruning.importance.MagnitudeImportance(p=2, group_reduction="mean"),
        global_pruning=True,
        pruning_ratio=ratio,
        num_heads=heads,
        prune_head_dims=False,
        prune_num_heads=bool(heads),
        head_pruning_ratio=ratio,
        round_to=None if heads else 8,
        max_pruning_ratio=0.9,
        output_transform=lambda output: output.logits.sum(),
        ignored_layers=[answers, *pooler],
    )
    for group in pruner.step(interactive=True):
        group.prune()
    for module in attention:
        module.num_attention_heads = pruner.num_heads[module.query]
        module.all_head_size = module.query.out_features
    return model.requires_grad_(False)
