"""A batch that fits the memory: half of it, twice as often, comes to the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from accelerate.utils.memory import should_reduce_batch_size

from compress.training.rows import Batch
from ftc.console import caution
from ftc.errors import RunError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from compress.training.objectives import Objective
    from compress.training.rows import Rows
    from compress.training.schedule import Schedule


def fitting(
    model: PreTrainedModel, objective: Objective, rows: Rows, schedule: Schedule, device: torch.device
) -> Schedule:
    """The schedule with a batch whose gradient was seen to fit, on the longest rows that there are.

    Rows of one step stay as many: a batch is halved only where it can be taken twice as often.

    :raises RunError: if not even a batch of one row fits
    """
    longest = np.argsort(rows.lengths(), kind="stable")[::-1].tolist()
    model.to(device)
    while True:
        try:
            tensors = rows.tensors(longest[: schedule.batch_size])
            batch = Batch.of({name: values.to(device) for name, values in tensors.items()})
            objective(model, batch).backward()  # type: ignore[no-untyped-call]
            return schedule
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if schedule.batch_size == 1:
                raise RunError(
                    "not even one row fits the memory while training; use --gradient-checkpointing or --lora, or "
                    "shorter rows."
                ) from error
        finally:
            model.zero_grad(set_to_none=True)
        half = schedule.batch_size // 2
        caution(f"{schedule.batch_size} rows do not fit the memory; {half} are taken at once, and twice as often")
        schedule = replace(schedule, batch_size=half, accumulation=2 * schedule.accumulation)
