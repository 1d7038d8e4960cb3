"""A worker whose GPU is this processor: all that is around a GPU's sessions runs, and no GPU is needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import torch

from bench.worker import main
from ftc.huggingface.model import load_model
from ftc.registry import Entry
from ftc.runtimes import GPU_RUNTIMES
from ftc.runtimes.torch_cuda import TorchCuda

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.runtimes.session import SessionOptions

HELD_BYTES = 123_000_000


class Moment:
    """An event by the host's clock."""

    def record(self) -> None:
        self.ns = time.perf_counter_ns()

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: Self) -> float:
        return (end.ns - self.ns) / 1e6


class Pretended(TorchCuda):
    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        assert options.variant is not None
        torch.set_num_threads(options.thread_count())
        return cls(load_model(artifact), artifact.manifest, options.variant, torch.device("cpu"))

    def event(self) -> Any:
        return Moment()

    def peak_device_bytes(self) -> int:
        return HELD_BYTES


if __name__ == "__main__":
    entries: Any = GPU_RUNTIMES.entries
    entries["torch"] = Entry("tests.bench.pretended_gpu:Pretended", "PyTorch, on the CPU in truth", "torch")
    main()
