"""What a training does where the user says nothing, by its network and the machine."""

from __future__ import annotations

from typing import Any

import torch

from compress.choices import TrainingPrecision
from ftc.machine import processor

_RATE = 5e-5
_WIDTH = 768
_CONVOLUTIONAL_RATE = 5e-4


def usual_rate(config: Any) -> float:
    """The highest learning rate, for a network's configuration.

    What BERT-base is usually fine-tuned with, and for other widths in inverse proportion to them: so the best rate of
    Adam moves (Yang et al. 2021, table 3).
    """
    width = getattr(config, "hidden_size", None)
    return _RATE * _WIDTH / width if isinstance(width, int) else _CONVOLUTIONAL_RATE


def usual_precision() -> TrainingPrecision:
    """bfloat16 where the processor or the GPU multiplies it, else float32."""
    if torch.cuda.is_available():
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bfloat16 = not {"amx_bf16", "avx512_bf16"}.isdisjoint(processor().instructions)
    return TrainingPrecision.BFLOAT16 if has_bfloat16 else TrainingPrecision.FLOAT32
