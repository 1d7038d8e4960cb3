"""Which weights of a network are trained, when, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from compress.training.schedule import Schedule
from ftc.errors import InputError
from ftc.huggingface.base import body_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

UNFREEZING_SHARE = 0.5
"""Part of a gradual training after which every layer is trained."""


@dataclass(frozen=True, slots=True, eq=False)
class Depths:
    """The weights of a network by how far they are from its answer.

    :param levels: names of weights; what comes before the layers, each layer, and what comes after them
    :param head: names of those weights that lie outside the network's body
    """

    levels: tuple[tuple[str, ...], ...]
    head: frozenset[str]

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self.levels) - 2

    @classmethod
    def of(cls, model: PreTrainedModel) -> Depths:
        """Layers are the longest list of modules in the network that is not inside another one.

        What an encoder has beside its list, such as DeBERTa's embeddings of distances, all its layers take in.
        """
        lists = {name: module for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
        outer = {
            name: module
            for name, module in lists.items()
            if not any(name.startswith(f"{other}.") for other in lists if other != name)
        }
        names = [name for name, _ in model.named_parameters()]
        head = frozenset(name for name in names if not name.startswith(body_of(model)))
        if not outer:
            return cls(((), tuple(names)), head)
        longest = max(outer, key=lambda name: sum(p.numel() for p in outer[name].parameters()))
        layers: list[list[str]] = [[] for _ in outer[longest]]
        before: list[str] = []
        after: list[str] = []
        encoder = f"{longest.rpartition('.')[0]}."
        for name in names:
            if name.startswith(f"{longest}."):
                layers[int(name.removeprefix(f"{longest}.").split(".")[0])].append(name)
            elif not any(map(len, layers)) or (name.startswith(encoder) and encoder != body_of(model)):
                before.append(name)
            else:
                after.append(name)
        return cls((tuple(before), *map(tuple, layers), tuple(after)), head)


def choose(model: PreTrainedModel, schedule: Schedule) -> None:
    """Let the weights that the schedule names be trained, and freeze the others.

    :raises InputError: if there are fewer layers than are to be trained, no layers or no head where they are to be
        treated otherwise, or activations cannot be computed again
    """
    if schedule.gradient_checkpointing and not _can_checkpoint(model):
        raise InputError(
            f"--gradient-checkpointing: a {type(model).__name__} cannot compute its activations again. Leave it out; "
            "--batch-size with --accumulation lowers memory too."
        )
    depths = Depths.of(model)
    wanted = schedule.train_layers
    for option, is_given in (
        ("--train-layers", wanted is not None),
        ("--gradual", schedule.gradual),
        ("--layer-decay", schedule.layer_decay != 1),
    ):
        if is_given and depths.layers == 0:
            raise InputError(f"{option}: a {type(model).__name__} has no list of layers. Leave it out.")
    if schedule.head_rate != 1 and len(depths.head) in (0, sum(map(len, depths.levels))):
        raise InputError(f"--head-rate: a {type(model).__name__} does not keep its head apart. Leave it out.")
    model.requires_grad_(True)
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
    """The optimizer's groups: a learning rate for each level and the head, no decay of biases and of what normalizes.

    Weights that are to be treated alike are one group: the optimizer goes through a few long lists faster.
    """
    parameters = dict(model.named_parameters())
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for level, names in enumerate(reversed(depths.levels)):
        for name in names:
            parameter = parameters[name]
            if parameter.requires_grad:
                rate = schedule.learning_rate * schedule.layer_decay**level
                if name in depths.head:
                    rate *= schedule.head_rate
                decay = schedule.weight_decay if _decays(parameter) else 0.0
                found.setdefault((rate, decay), []).append(parameter)
    return [{"params": chosen, "lr": rate, "weight_decay": decay} for (rate, decay), chosen in found.items()]


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
