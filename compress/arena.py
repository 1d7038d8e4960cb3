"""Weights in memory that can be given back, whoever still holds views of them."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_ALIGNMENT_BYTES = 64


@contextmanager
def releasable_weights(model: torch.nn.Module) -> Iterator[None]:
    """Move a model's weights into one arena, and give its memory back at the end.

    The exporter keeps views of the weights alive for as long as the process lives; of a 2.5 GB model they stayed until
    the end of the run. Afterwards the model and those views hold zeros and must not be used.
    """
    tensors = [*model.parameters(), *model.buffers()]
    offsets, end = [], 0
    for tensor in tensors:
        offsets.append(end)
        end += -(-tensor.nbytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
    arena = mmap.mmap(-1, max(end, mmap.PAGESIZE))
    for tensor, offset in zip(tensors, offsets, strict=True):
        if tensor.numel():
            own = torch.frombuffer(arena, dtype=tensor.dtype, count=tensor.numel(), offset=offset).view(tensor.shape)
            tensor.data = own.copy_(tensor.data)
    try:
        yield
    finally:
        arena.madvise(mmap.MADV_DONTNEED)
