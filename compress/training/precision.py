"""What products are computed in while training; judging computes in float32, which is what is kept."""

from __future__ import annotations

import torch

from compress.choices import TrainingPrecision


def computing_in(precision: TrainingPrecision, device: torch.device) -> torch.autocast:
    """A context in which a forward pass has this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision is TrainingPrecision.BFLOAT16)
