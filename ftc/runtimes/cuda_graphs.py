"""Answers from CUDA graphs: the kernels of one call are recorded for each shape, and launched together from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Tensors = Mapping[str, torch.Tensor]
Call = Callable[[Tensors], torch.Tensor]

_CALLS_BEFORE = 3
"""On a stream of their own before anything is recorded: libraries choose kernels and take memory in their first calls
(PyTorch, "CUDA semantics", section CUDA Graphs)."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One shape's kernels.

    :param inputs: where they read
    :param output: where they write
    :param replay: launches them
    """

    inputs: Tensors
    output: torch.Tensor
    replay: Callable[[], None]


class Replayed:
    """A call that is recorded when it first sees a shape, and replayed whenever it sees it again.

    :param record: records the call on the tensors it is given, which are the graph's own afterwards
    """

    def __init__(self, call: Call, record: Callable[[Call, Tensors], Recorded]) -> None:
        self._call, self._record = call, record
        self._held: dict[tuple[tuple[str, torch.Size], ...], Recorded] = {}

    def __call__(self, inputs: Tensors) -> torch.Tensor:
        """The call's output, in memory that the next call of the same shapes overwrites."""
        key = tuple((name, tensor.shape) for name, tensor in inputs.items())
        if key not in self._held:
            self._held[key] = self._record(self._call, {name: tensor.clone() for name, tensor in inputs.items()})
        recorded = self._held[key]
        for name, tensor in inputs.items():
            recorded.inputs[name].copy_(tensor)
        recorded.replay()
        return recorded.output


def recorder() -> Callable[[Call, Tensors], Recorded]:
    """What records graphs on the current CUDA device; all of them share their memory, since one runs at a time."""
    pool = torch.cuda.graph_pool_handle()

    def record(call: Call, inputs: Tensors) -> Recorded:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_CALLS_BEFORE):
                call(inputs)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            output = call(inputs)
        return Recorded(inputs, output, graph.replay)

    return record
