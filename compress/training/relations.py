"""Self-attention relations: how queries, keys and values of a layer relate the tokens of a text to one another."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from compress.pruning.encoder import layers_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MOST_HEADS = 48
"""Wang et al. 2021, section 3.1: more relation heads than attention heads say more; 48 did best there."""


class Watched:
    """The queries, keys and values of a network's last layer, as they were in its last forward pass."""

    def __init__(self, model: PreTrainedModel) -> None:
        """:raises InputError: if it is no transformer encoder that `ftc` knows"""
        last = layers_of(model, Path(model.config.name_or_path))[-1]
        self._seen: dict[str, torch.Tensor] = {}
        for name, linear in (("queries", last.query), ("keys", last.key), ("values", last.value)):
            linear.register_forward_hook(
                lambda _module, _inputs, output, name=name: self._seen.__setitem__(name, output)
            )

    def take(self) -> dict[str, torch.Tensor]:
        """What was seen, (B, L, width) each; it is forgotten, so that memory is freed."""
        seen = dict(self._seen)
        self._seen.clear()
        return seen


def relation_loss(student: Watched, teacher: Watched, mask: torch.Tensor | None) -> torch.Tensor:
    """Divergence of the student's relations from the teacher's (Wang et al. 2021, equations 3 to 5).

    :param mask: (B, L), 1 for tokens and 0 for padding; None where nothing is padded
    """
    ours, wanted = student.take(), teacher.take()
    total = torch.zeros(())
    for name, values in ours.items():
        heads = _common_heads(values.shape[-1], wanted[name].shape[-1])
        from_student = _relations(values, heads, mask)
        with torch.no_grad():
            from_teacher = _relations(wanted[name], heads, mask)
        divergence = functional.kl_div(from_student, from_teacher, reduction="none", log_target=True)
        rows = divergence.sum(dim=-1)  # (B, heads, L)
        weights = torch.ones_like(rows) if mask is None else mask[:, None, :].expand_as(rows).float()
        total = total.to(rows.device) + (rows * weights).sum() / weights.sum()
    return total / len(ours)


def _common_heads(width: int, other: int) -> int:
    """The largest number of heads up to 48 that both widths can be cut into."""
    common = math.gcd(width, other)
    return max(heads for heads in range(1, _MOST_HEADS + 1) if common % heads == 0)


def _relations(values: torch.Tensor, heads: int, mask: torch.Tensor | None) -> torch.Tensor:
    """(B, heads, L, L) logarithms of how much each token relates to each other one."""
    batch, length, width = values.shape
    split = values.view(batch, length, heads, width // heads).transpose(1, 2)
    scores = split @ split.transpose(-1, -2) / math.sqrt(width // heads)
    if mask is not None:
        scores = scores.masked_fill(mask[:, None, None, :] == 0, torch.finfo(scores.dtype).min)
    return functional.log_softmax(scores.float(), dim=-1)
