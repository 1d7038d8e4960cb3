"""Which weights of a network are trained, when, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from compress.training.schedule import Schedule
from ftc.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

UNFREEZING_SHARE = 0.5
"""Part of a gradual training after which every layer is trained."""


@dataclass(frozen=True, slots=True, eq=False)
class Depths:
    """The weights of a network by how far they are from its answer.

    :param levels: names of weights; what comes before the layers, each layer, and what comes after them
    """

    levels: tuple[tuple[str, ...], ...]

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self.levels) - 2

    @classmethod
    def of(cls, model: PreTrainedModel) -> Depths:
        """Layers are the longest list of modules in the network that is not inside another one."""
        lists = {name: module for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
        outer = {
            name: module
            for name, module in lists.items()
            if not any(name.startswith(f"{other}.") for other in lists if other != name)
        }
        names = [name for name, _ in model.named_parameters()]
        if not outer:
            return cls(((), tuple(names)))
        longest = max(outer, key=lambda name: sum(p.numel() for p in outer[name].parameters()))
        layers: list[list[str]] = [[] for _ in outer[longest]]
        before: list[str] = []
        after: list[str] = []
        for name in names:
            if name.startswith(f"{longest}."):
                layers[int(name.removeprefix(f"{longest}.").split(".")[0])].append(name)
            else:
                (after if any(map(len, layers)) else before).append(name)
        return cls((tuple(before), *map(tuple, layers), tuple(after)))


def choose(model: PreTrainedModel, schedule: Schedule) -> None:
    """Let the weights that the schedule names be trained, and freeze the others.

    :raises InputError: if there are fewer layers than are to be trained, or activations cannot be computed again
    """
    if schedule.gradient_checkpointing and not _can_checkpoint(model):
        raise InputError(
            f"--gradient-checkpointing: a {type(model).__name__} cannot compute its activations again. Leave it out; "
            "--batch-size with --accumulation lowers memory too."
        )
    depths = Depths.of(model)
    model.requires_grad_(True)
    wanted = schedule.train_layers
    if wanted is not None:
        if wanted > depths.layers:
            raise InputError(f"--train-layers {wanted}: this network has {depths.layers} layers.")
        _train_from(model, depths, len(depths.levels) - 1 - wanted)


def _can_checkpoint(model: PreTrainedModel) -> bool:
    """Whether transformers would accept it: the class says so, and a module of it has the switch."""
    has_switch = any(hasattr(module, "gradient_checkpointing") for module in model.modules())
    return bool(model.supports_gradient_checkpointing) and has_switch


def unfreeze(model: nn.Module, depths: Depths, share: float) -> None:
    """Let those weights be trained whose time has come in a gradual training.

    :param share: part (0-1) of the training that is over
    """
    last = len(depths.levels) - 1
    _train_from(model, depths, last - min(last, int(share / UNFREEZING_SHARE * last)))


def groups(model: nn.Module, depths: Depths, schedule: Schedule) -> list[dict[str, Any]]:
    """The optimizer's groups: a learning rate for each level, and no decay of biases and of what normalizes."""
    parameters = dict(model.named_parameters())
    found = []
    for level, names in enumerate(reversed(depths.levels)):
        rate = schedule.learning_rate * schedule.layer_decay**level
        for decays in (True, False):
            chosen = [
                parameter
                for parameter in map(parameters.__getitem__, names)
                if parameter.requires_grad and _decays(parameter) == decays
            ]
            if chosen:
                found.append({"params": chosen, "lr": rate, "weight_decay": schedule.weight_decay if decays else 0.0})
    return _merged(found)


def _merged(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One group of those that differ in nothing: the optimizer goes through a few long lists faster."""
    merged: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in found:
        merged.setdefault((group["lr"], group["weight_decay"]), []).extend(group["params"])
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in merged.items()]


def _decays(parameter: torch.Tensor) -> bool:
    return parameter.ndim > 1  # biases and the weights of normalizations are vectors


def _train_from(model: nn.Module, depths: Depths, first: int) -> None:
    parameters = dict(model.named_parameters())
    for level, names in enumerate(depths.levels):
        for name in names:
            parameters[name].requires_grad_(level >= first)


_DROPOUTS = ("dropout", "attention_dropout", "dropout_prob", "attention_probs_dropout_prob", "hidden_dropout_prob")
"""Under which names modules keep the part that attention kernels drop."""


def drop_nothing(model: nn.Module) -> None:
    """Take all dropout out of a network, in place; its configuration keeps it, for whoever trains it later."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in _DROPOUTS:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
