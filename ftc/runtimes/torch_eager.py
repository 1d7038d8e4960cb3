"""PyTorch in eager mode: the reference that everything else is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch

from ftc.errors import RunError, first_line
from ftc.huggingface.model import MODEL_CLASS, UNREADABLE, load_model
from ftc.huggingface.timm_network import LIBRARY

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftc.artifact import Artifact
    from ftc.runtimes.session import SessionOptions


class TorchEager:
    """A Hugging Face checkpoint in float32, no gradients."""

    formats: ClassVar[frozenset[str]] = frozenset({"huggingface"})
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    settings: ClassVar[frozenset[str]] = frozenset({MODEL_CLASS, LIBRARY})
    concurrent: ClassVar[bool] = False

    def __init__(self, model: PreTrainedModel, threads: int) -> None:
        self._model = model
        self._threads = threads

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        torch.set_num_threads(options.thread_count())
        return cls(load_model(artifact), options.thread_count())

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in inputs.items()}
        try:
            with torch.inference_mode():
                return {"logits": self._model(**tensors).logits.numpy()}
        except UNREADABLE as error:
            shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
            raise RunError(
                f"{type(self._model).__name__} cannot run on {shapes} ({type(error).__name__}: {first_line(error)}): "
                "its config.json and its tokenizer or image processor do not belong together."
            ) from error

    def conditions(self) -> dict[str, str]:
        return {
            "runtime": "torch",
            "version": torch.__version__,
            "attention": str(getattr(self._model.config, "_attn_implementation", "none")),
            "dtype": "float32",
            "threads": str(self._threads),
        }
