"""A batch that fits the memory: a part of it, so much more often, comes to the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size

from compress.training.precision import computing_in
from compress.training.rows import Batch
from ftc.console import caution
from ftc.errors import RunError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from compress.training.objectives import Objective
    from compress.training.rows import Rows
    from compress.training.schedule import Schedule


def fitting(
    model: PreTrainedModel, objective: Objective, rows: Rows, schedule: Schedule, device: torch.device
) -> Schedule:
    """The schedule with a batch whose gradient was seen to fit, on the longest rows that there are.

    Rows of one step stay as many: a batch is divided by what its size can be divided by, by 2 if that is possible.

    :raises RunError: if not even a batch of one row fits
    """
    longest = np.argsort(rows.lengths(), kind="stable")[::-1].tolist()
    model.to(device)
    with _as_in_training(model, schedule):
        while True:
            try:
                tensors = rows.tensors(longest[: schedule.batch_size])
                batch = Batch.of({name: values.to(device) for name, values in tensors.items()})
                with computing_in(schedule.precision, device):
                    loss = objective(model, batch)
                loss.backward()  # type: ignore[no-untyped-call]
                return schedule
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
                if schedule.batch_size == 1:
                    raise RunError(f"not even one row fits the memory while training; {_advice(schedule)}.") from error
            finally:
                model.zero_grad(set_to_none=True)
            times = _smallest_divisor(schedule.batch_size)
            part = schedule.batch_size // times
            caution(
                f"{schedule.batch_size} rows do not fit the memory; {part} are taken at once, {times} times as often"
            )
            schedule = replace(schedule, batch_size=part, accumulation=times * schedule.accumulation)


@contextmanager
def _as_in_training(model: PreTrainedModel, schedule: Schedule) -> Iterator[None]:
    """Let a network compute as it will while it is trained; what batch normalizations have measured stays as it was."""
    was_training = model.training
    measured = {name: values.clone() for name, values in model.named_buffers()}
    if schedule.gradient_checkpointing:
        model.activation_checkpointing_enable()
    try:
        yield model.train()
    finally:
        model.train(was_training)
        with torch.no_grad():
            for name, values in model.named_buffers():
                if not torch.equal(values, measured[name]):
                    values.copy_(measured[name])


def _advice(schedule: Schedule) -> str:
    ways = "take shorter rows or a smaller network"
    return ways if schedule.gradient_checkpointing else f"use --gradient-checkpointing, or {ways}"


def _smallest_divisor(number: int) -> int:
    """Of those above 1."""
    return next(divisor for divisor in range(2, number + 1) if number % divisor == 0)
