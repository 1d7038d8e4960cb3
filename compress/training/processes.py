"""Several processes that train one network, as `torchrun` and `accelerate launch` start them."""

from __future__ import annotations

import sys

import torch
from torch import distributed, nn

from ftc.console import is_first


def agreed(*values: float) -> tuple[float, ...]:
    """The first process's values, in all of them."""
    if not _are_several():
        return values
    told = torch.tensor(values, dtype=torch.float64, device=_device())
    distributed.broadcast(told, src=0)
    return tuple(told.tolist())


def is_any(flag: bool) -> bool:
    """Whether something is so in any of the processes: then all of them know, and none waits for another."""
    if not _are_several():
        return flag
    told = torch.tensor(float(flag), device=_device())
    distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
    return bool(told.item() > 0)


def share_weights(model: nn.Module) -> None:
    """Give every process the first one's weights, in place."""
    if _are_several():
        for values in model.state_dict().values():
            distributed.broadcast(values, src=0)


def leave_to_first() -> None:
    """End every process but the first: what comes after training is the work of one."""
    if not _are_several():
        return
    distributed.barrier()
    distributed.destroy_process_group()
    if not is_first():
        sys.exit(0)


def _are_several() -> bool:
    return distributed.is_initialized() and distributed.get_world_size() > 1


def _device() -> torch.device:
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
