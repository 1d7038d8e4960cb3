"""Quantization-aware training: the forward pass computes with numbers of 8 bits, the weights learn as if they had more.

Fake quantization with straight-through gradients (Jacob et al. 2018, section 3), laid out as `ftc quantize` lays out
dynamic INT8: weights symmetric for each output channel, activations asymmetric for each tensor of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

_WEIGHT_LEVELS = 63
"""Files for ONNX Runtime and OpenVINO have weights of 7 bits; what bears 7 bears 8."""

_ACTIVATION_LEVELS = 255


@contextmanager
def fake_quantized(model: nn.Module) -> Iterator[None]:
    """Let a network that is in training mode compute with 8-bit numbers in every matrix product and convolution.

    In evaluation mode it computes as ever: scores are those of the weights that are kept. Afterwards its weights are
    those that it has learned, in float32: quantizing them is left to `ftc quantize`.
    """
    modules = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    hooks = [module.register_forward_pre_hook(_quantize_input) for module in modules]
    for module in modules:
        parametrize.register_parametrization(module, "weight", _Rounded())
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module in modules:
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)


class _Rounded(nn.Module):
    """A weight as its 7-bit form would be."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """:param weight: (out, ...); each output channel has a scale of its own"""
        if not self.training:
            return weight
        largest = weight.detach().abs().flatten(1).amax(dim=1).clamp(min=1e-12)
        scale = (largest / _WEIGHT_LEVELS).view(-1, *[1] * (weight.ndim - 1))
        return _through(weight, (weight / scale).round() * scale)


def _quantize_input(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    if not module.training:
        return inputs
    values, *others = inputs
    with torch.no_grad():
        low, high = values.amin().clamp(max=0.0), values.amax().clamp(min=0.0)
        scale = ((high - low) / _ACTIVATION_LEVELS).clamp(min=1e-12)
        rounded = ((values - low) / scale).round() * scale + low
    return (_through(values, rounded), *others)


def _through(values: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """The rounded values, with the gradient of the values themselves."""
    return values + (rounded - values).detach()
