"""A worker whose GPU is this processor: all that is around a GPU's sessions runs, and no GPU is needed."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import torch

from bench.remote import Worker
from bench.worker import main
from ftc.huggingface.model import load_model
from ftc.registry import Entry
from ftc.runtimes import GPU_RUNTIMES
from ftc.runtimes.onnx_cuda import OnnxCuda, check_float
from ftc.runtimes.onnx_runtime import OnnxRuntime
from ftc.runtimes.torch_cuda import TorchCuda
from ftc.runtimes.variant import ON_CUDA

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.runtimes.session import SessionOptions

HELD_BYTES = 123_000_000


def driver(place: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Put a driver's tool on the path that lists these GPUs."""
    tool = place / "nvidia-smi"
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


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
        variant = options.variant or ON_CUDA["torch"][0]
        torch.set_num_threads(options.thread_count())
        return cls(load_model(artifact), artifact.manifest, variant, torch.device("cpu"))

    def event(self) -> Any:
        return Moment()

    def peak_device_bytes(self) -> int:
        return HELD_BYTES


class PretendedOnnx(OnnxCuda):
    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        check_float(artifact.model_path)
        plain = ON_CUDA["onnxruntime"][0]
        return cls(OnnxRuntime.open(artifact, replace(options, device="cpu")), options.variant or plain)


class OnPretended(Worker):
    """Whatever it is asked to run in."""

    def __init__(self, *of: Any, **given: Any) -> None:
        super().__init__(*of, **{**given, "module": __name__})


if __name__ == "__main__":
    entries: Any = GPU_RUNTIMES.entries
    entries["torch"] = Entry("tests.bench.pretended_gpu:Pretended", "PyTorch, on the CPU in truth", "torch")
    entries["onnxruntime"] = Entry("tests.bench.pretended_gpu:PretendedOnnx", "ONNX Runtime, likewise", "onnx")
    main()
