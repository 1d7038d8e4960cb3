"""What training makes smaller: the distance to labels, or to a teacher's answers and to how it came by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional

from compress.training.relations import Watched, relation_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Inputs = Mapping[str, torch.Tensor]


class Objective(Protocol):
    """A loss to be made smaller."""

    def __call__(self, model: torch.nn.Module, inputs: Inputs, labels: torch.Tensor | None) -> torch.Tensor:
        """The loss of a batch, a scalar.

        :param model: in training mode; may be wrapped for several devices
        :param inputs: the batch as the model takes it
        :param labels: (B,) int64, or None where the rows have none
        """
        ...


class Labels:
    """Cross-entropy with the labels."""

    def __call__(self, model: torch.nn.Module, inputs: Inputs, labels: torch.Tensor | None) -> torch.Tensor:
        assert labels is not None, "rows without labels are refused before training"
        return functional.cross_entropy(model(**inputs).logits, labels)


@dataclass(frozen=True, slots=True)
class Distance:
    """How what a student does is compared with what its teacher does.

    :param temperature: both divide their logits by it before the softmax
    :param alpha: weight (0-1) of the teacher's answers; the rest is for the labels, if there are any
    :param hidden_weight: weight of the states between the layers
    :param relation_weight: weight of the relations among queries, keys and values of the last layer
    """

    temperature: float
    alpha: float
    hidden_weight: float
    relation_weight: float


class Distillation:
    """A student learns from a teacher's logits (Hinton et al. 2015, section 2), and from what lies before them.

    States between layers are compared as in TinyBERT (Jiao et al. 2020, section 3.1), with the teacher's layers spread
    evenly over the student's; relations as in MiniLMv2 (Wang et al. 2021, section 3.1).
    """

    def __init__(self, student: PreTrainedModel, teacher: PreTrainedModel, distance: Distance) -> None:
        self._teacher = teacher.eval().requires_grad_(False)
        self._distance = distance
        self._watched = (Watched(student), Watched(teacher)) if distance.relation_weight else None

    def __call__(self, model: torch.nn.Module, inputs: Inputs, labels: torch.Tensor | None) -> torch.Tensor:
        """Raises as the networks do."""
        distance, between = self._distance, self._distance.hidden_weight > 0
        self._teacher.to(next(iter(inputs.values())).device)
        with torch.no_grad():
            wanted = self._teacher(**inputs, output_hidden_states=between)
        answered = model(**inputs, output_hidden_states=between)
        soft = soft_cross_entropy(answered.logits, wanted.logits, distance.temperature)
        if labels is None:
            loss = soft
        else:
            hard = functional.cross_entropy(answered.logits, labels)
            loss = distance.alpha * soft + (1 - distance.alpha) * hard
        mask = inputs.get("attention_mask")
        if between:
            loss = loss + distance.hidden_weight * hidden_loss(answered.hidden_states, wanted.hidden_states, mask)
        if self._watched is not None:
            loss = loss + distance.relation_weight * relation_loss(*self._watched, mask)
        return loss


def soft_cross_entropy(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Kullback-Leibler divergence of the student's softened answers from the teacher's, times the squared temperature.

    The square keeps gradients as large as the labels' (Hinton et al. 2015, section 2).

    :param student: logits (B, classes)
    :param teacher: logits (B, classes)
    """
    wanted = functional.log_softmax(teacher / temperature, dim=-1)
    answered = functional.log_softmax(student / temperature, dim=-1)
    return temperature**2 * functional.kl_div(answered, wanted, reduction="batchmean", log_target=True)


def hidden_loss(
    student: tuple[torch.Tensor, ...], teacher: tuple[torch.Tensor, ...], mask: torch.Tensor | None
) -> torch.Tensor:
    """Squared difference of the states as a part of the teacher's own squares, averaged over the student's layers.

    :param student: states (B, L, H) before the first layer and behind each, of n layers
    :param teacher: the same, of m >= n layers; those at i m / n are taken
    :param mask: (B, L), 1 for tokens and 0 for padding; None where nothing is padded
    """
    n, m = len(student) - 1, len(teacher) - 1
    weights = torch.ones(student[0].shape[:2], device=student[0].device) if mask is None else mask.float()
    total = torch.zeros((), device=student[0].device)
    for number in range(1, n + 1):
        wanted = teacher[round(number * m / n)]
        off = (student[number] - wanted).square().mean(dim=-1)  # (B, L)
        total = total + (off * weights).sum() / (wanted.square().mean(dim=-1) * weights).sum()
    return total / n
