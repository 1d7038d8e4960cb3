"""The best weights of a linear layer or a convolution for what it is given and what it is to answer."""

from __future__ import annotations

import torch
from torch import nn

RIDGE = 1e-3
"""Weight of staying close to the weights as they were, in parts of the inputs' mean square."""


class LeastSquares:
    """The sums that the best weights of a layer follow from, in float64.

    Minimized is the squared distance of the outputs to the targets, plus `RIDGE` times that of the weights to those
    the layer has: where the data says nothing, they stay as they are. A layer without a bias gets none.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        self._layer = layer
        size = layer.weight[0].numel() + (layer.bias is not None)  # the last column is the bias
        self._inputs = torch.zeros(size, size, dtype=torch.float64)
        self._residuals = torch.zeros(size, len(layer.weight), dtype=torch.float64)

    def add(self, inputs: torch.Tensor, residuals: torch.Tensor) -> None:
        """:param inputs: (R, in) :param residuals: (R, out), what the outputs lack to their targets"""
        wide = inputs if self._layer.bias is None else torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
        # a batch is summed in float32, which is twice as fast, and the batches in float64
        self._inputs += wide.T @ wide
        self._residuals += wide.T @ residuals

    def solve(self) -> None:
        """Give the layer the best weights."""
        diagonal = self._inputs.diagonal()
        # where all inputs are zero any weights do, and these stay
        diagonal.add_(RIDGE * diagonal.mean().clamp_min(torch.finfo(torch.float64).tiny ** 0.5))
        change = torch.linalg.solve(self._inputs, self._residuals).float()
        if self._layer.bias is not None:
            self._layer.bias.add_(change[-1])
            change = change[:-1]
        self._layer.weight.add_(change.T.reshape(self._layer.weight.shape))
