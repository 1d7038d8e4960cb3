"""What training makes smaller: the distance to labels, or to a teacher's answers and to how it came by them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch.nn import functional

from compress.training.relations import Watched, relation_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.training.rows import Batch

_ANSWERS = "teacher.npy"


class Objective(Protocol):
    """A loss to be made smaller."""

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """The loss of a batch, a scalar.

        :param model: in training mode; may be wrapped for several devices
        """
        ...

    def save(self, state: Path) -> None:
        """Write what it has come to know into the directory of a state."""
        ...

    def restore(self, state: Path) -> None:
        """Know what it knew when that state was written."""
        ...


class Labels:
    """Cross-entropy with the labels."""

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        assert batch.labels is not None, "rows without labels are refused before training"
        return functional.cross_entropy(model(**batch.inputs).logits, batch.labels)

    def save(self, state: Path) -> None:
        """There is nothing to know."""

    def restore(self, state: Path) -> None:
        """There was nothing to know."""


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

    def __init__(self, student: PreTrainedModel, teacher: PreTrainedModel, distance: Distance, rows: int) -> None:
        """:param rows: how many there are; where logits alone are compared, the teacher sees each of them once"""
        self._teacher = teacher.eval().requires_grad_(False)
        self._distance = distance
        self._watched = (Watched(student), Watched(teacher)) if distance.relation_weight else None
        self._sees_inside = distance.hidden_weight > 0 or self._watched is not None
        self._answers = np.full((rows, teacher.config.num_labels), np.nan, np.float32)

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Raises as the networks do."""
        distance, between = self._distance, self._distance.hidden_weight > 0
        wanted, states = self._asked(batch, between)
        answered = model(**batch.inputs, output_hidden_states=between)
        soft = soft_cross_entropy(answered.logits, wanted, distance.temperature)
        if batch.labels is None:
            loss = soft
        else:
            hard = functional.cross_entropy(answered.logits, batch.labels)
            loss = distance.alpha * soft + (1 - distance.alpha) * hard
        mask = batch.inputs.get("attention_mask")
        if between:
            loss = loss + distance.hidden_weight * hidden_loss(answered.hidden_states, states, mask)
        if self._watched is not None:
            loss = loss + distance.relation_weight * relation_loss(*self._watched, mask)
        return loss

    def save(self, state: Path) -> None:
        """The answers that the teacher has given."""
        if not self._sees_inside:
            np.save(state / _ANSWERS, self._answers)

    def restore(self, state: Path) -> None:
        """The answers that it had given."""
        if not self._sees_inside:
            self._answers = np.load(state / _ANSWERS, allow_pickle=False)

    def _asked(self, batch: Batch, between: bool) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The teacher's logits (B, classes) for a batch, and if they are compared its states."""
        device = next(iter(batch.inputs.values())).device
        known = self._answers[batch.rows]
        if not self._sees_inside and not np.isnan(known).any():
            return torch.from_numpy(known).to(device), ()
        self._teacher.to(device)
        with torch.no_grad():
            answered = self._teacher(**batch.inputs, output_hidden_states=between)
        self._answers[batch.rows] = answered.logits.float().cpu().numpy()
        return answered.logits, answered.hidden_states if between else ()


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
