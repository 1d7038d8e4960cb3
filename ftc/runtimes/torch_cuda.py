"""PyTorch on an NVIDIA GPU: in three precisions; operator by operator, compiled, or replayed from CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch

from ftc.errors import InputError, RunError, first_line
from ftc.huggingface.model import MODEL_CLASS, UNREADABLE, load_model
from ftc.huggingface.timm_network import LIBRARY
from ftc.preprocessing import TextPreprocessing
from ftc.runtimes.buckets import Buckets, powers_of_two
from ftc.runtimes.cuda_graphs import Replayed, recorder
from ftc.runtimes.variant import ON_CUDA, Variant

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftc.artifact import Artifact
    from ftc.manifest import Manifest
    from ftc.runtimes.cuda_graphs import Call, Tensors
    from ftc.runtimes.session import SessionOptions

_TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchCuda:
    """A Hugging Face checkpoint on the GPU. Weights and images have the variant's precision, answers are float32.

    float32 is float32: products are not rounded to TF32. From CUDA graphs, texts are padded to powers of two, so that a
    graph is recorded for each of these and not for each length.
    """

    formats: ClassVar[frozenset[str]] = frozenset({"huggingface"})
    devices: ClassVar[frozenset[str]] = frozenset({"cuda"})
    settings: ClassVar[frozenset[str]] = frozenset({MODEL_CLASS, LIBRARY})
    concurrent: ClassVar[bool] = False

    def __init__(self, model: PreTrainedModel, manifest: Manifest, variant: Variant, device: torch.device) -> None:
        self._type, self._device, self._variant = _TYPES[variant.precision], device, variant
        self._model = model.to(device, self._type)
        spec = manifest.preprocessing
        self._buckets: Buckets | None = None
        self._network: Callable[..., Any] = self._model
        self._call: Call = self._forward
        if variant.way == "compile":
            # a text's length changes from call to call: not told so, the first ones would each be compiled for
            self._network = torch.compile(self._model, dynamic=spec.kind == "text" or None)
        elif variant.way == "graph":
            self._call = Replayed(self._forward, recorder())
            if isinstance(spec, TextPreprocessing):
                self._buckets = Buckets(powers_of_two(spec.max_length), spec)

    @classmethod
    def check_available(cls) -> None:
        """:raises InputError: if this PyTorch has no GPU"""
        if not torch.cuda.is_available():
            built = "without CUDA" if torch.version.cuda is None else f"for CUDA {torch.version.cuda}"
            raise InputError(
                f"PyTorch {torch.__version__}, built {built}, finds no GPU that it can use. Install a build that fits "
                "the driver: https://pytorch.org/get-started/locally"
            )

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        cls.check_available()
        torch.set_num_threads(options.thread_count())
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        return cls(
            load_model(artifact), artifact.manifest, options.variant or ON_CUDA["torch"][0], torch.device("cuda")
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        fitted = inputs if self._buckets is None else self._buckets.fitted(inputs)
        try:
            with torch.inference_mode():
                answer = self._call({name: self._moved(value) for name, value in fitted.items()})
                return {"logits": answer.float().cpu().numpy()}
        except UNREADABLE as error:
            shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in fitted.items())
            raise RunError(
                f"{type(self._model).__name__} cannot run as {self._variant} on {shapes} "
                f"({type(error).__name__}: {first_line(error)})."
            ) from error

    def conditions(self) -> dict[str, str]:
        return {
            "runtime": "torch",
            "version": torch.__version__,
            "cuda": torch.version.cuda or "none",
            "attention": str(getattr(self._model.config, "_attn_implementation", "none")),
            "dtype": str(self._type).removeprefix("torch."),
            "way": self._variant.way,
            "tf32": "off",
        }

    def event(self) -> torch.cuda.Event:
        """A moment in the GPU's own work, once it is recorded; see `bench.clock.EventClock`."""
        return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def peak_device_bytes(self) -> int:
        """The most memory of the GPU that PyTorch has held at once, its cache included and the driver's part not."""
        return torch.cuda.max_memory_reserved(self._device)

    def _moved(self, values: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
        return tensor.to(self._type) if tensor.is_floating_point() else tensor

    def _forward(self, tensors: Tensors) -> torch.Tensor:
        logits: torch.Tensor = self._network(**tensors).logits
        return logits
