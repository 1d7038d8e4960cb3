"""What every training can be told: how long, how fast, what of the network, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass

from compress.choices import Decay, TrainingPrecision
from ftc.errors import InputError

DEFAULT_EPOCHS = 3.0

_SEEDS = 2**32
"""So many seeds NumPy's global generator takes, which transformers seeds with the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The options of a training; steps that train add their own to these.

    :param epochs: passes over the rows; None for as many as `time_budget_s` allows, or 3 without one
    :param time_budget_s: seconds after which training ends, evaluations included; the learning rate has fallen by then
    :param batch_size: rows of one forward pass on one device
    :param accumulation: forward passes whose gradients are added up for one step
    :param learning_rate: the highest, reached after `warmup`; the head's is `head_rate` times as high
    :param warmup: part (0-1) of the training in which the learning rate rises from nothing
    :param decay: how it falls to nothing afterwards
    :param clip: largest norm of the gradient; longer ones are shortened to it
    :param precision: what products are computed in; weights stay in float32
    :param gradient_checkpointing: compute activations again instead of keeping them: less memory, more time
    :param quantization_aware: compute with numbers of 8 bits, so that the weights learn to bear them
    :param held_out: part (0-1) of the rows, at most 2,000, that judges the weights and trains none
    :param evaluations: how often that is done, evenly over the training; less often where that would take more than
        a fifth of `time_budget_s`
    :param patience: evaluations without a better score after which training stops; None for never
    :param train_layers: how many of the last encoder layers are trained, with what follows them; None for all
    :param gradual: layers join one after the other, from the last to the first, in the first half of the training
        (Howard and Ruder 2018, section 3.3)
    :param layer_decay: learning rate of each layer as a part of that of the layer after it (the same, section 3.3)
    :param head_rate: learning rate of the head as a multiple of `learning_rate`
    :param seed: of dropout, of the order of the rows and of what is held out
    """

    epochs: float | None = None
    time_budget_s: float | None = None
    batch_size: int = 32
    accumulation: int = 1
    learning_rate: float = 5e-5
    warmup: float = 0.06
    decay: Decay = Decay.LINEAR
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: TrainingPrecision = TrainingPrecision.FLOAT32
    gradient_checkpointing: bool = False
    quantization_aware: bool = False
    held_out: float = 0.1
    evaluations: int = 10
    patience: int | None = None
    train_layers: int | None = None
    gradual: bool = False
    layer_decay: float = 1.0
    head_rate: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("epochs", "time_budget_s", "batch_size", "accumulation", "learning_rate", "clip")
        for name in (*positive, "layer_decay", "head_rate", "evaluations", "patience"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"--{name.removesuffix('_s').replace('_', '-')} {value:g}: give a number above 0.")
        for name in ("warmup", "held_out"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} {getattr(self, name):g}: give a part from 0 to below 1.")
        if self.weight_decay < 0 or not math.isfinite(self.weight_decay):
            raise InputError(f"--weight-decay {self.weight_decay:g}: give a number from 0.")
        if self.train_layers is not None and self.train_layers < 0:
            raise InputError(f"--train-layers {self.train_layers}: give how many layers are trained, 0 for none.")
        if self.gradual and self.train_layers is not None:
            raise InputError("--gradual trains all layers in the end, --train-layers some of them: choose one.")
        if self.patience is not None and self.held_out == 0:
            raise InputError(
                "--patience waits for a better score, and --held-out 0 leaves no rows to score: leave out one."
            )
        if not 0 <= self.seed < _SEEDS:
            raise InputError(f"--seed {self.seed}: give a whole number from 0 to {_SEEDS - 1}.")

    @property
    def passes(self) -> float | None:
        """Passes over the rows after which training ends; None where time alone ends it."""
        return DEFAULT_EPOCHS if self.epochs is None and self.time_budget_s is None else self.epochs

    def rate(self, share: float) -> float:
        """The learning rate as a part (0-1) of the highest, when `share` (0-1) of the training is over."""
        if share < self.warmup:
            return share / self.warmup
        left = max(0.0, (1 - share) / (1 - self.warmup))
        return left if self.decay is Decay.LINEAR else 0.5 * (1 - math.cos(math.pi * left))
