"""Where one model file can be executed in several ways on a GPU: in which precision, and by what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal, Self, get_args

from ftc.errors import InputError

Precision = Literal["fp32", "fp16", "bf16"]

Way = Literal["eager", "compile", "graph", "cuda", "tensorrt"]
"""PyTorch operator by operator, compiled by `torch.compile`, replayed from CUDA graphs; ONNX Runtime's providers."""

_BY: Mapping[Way, str] = {
    "eager": "PyTorch, operator by operator,",
    "compile": "PyTorch, compiled by torch.compile,",
    "graph": "PyTorch, replayed from CUDA graphs,",
    "cuda": "ONNX Runtime's CUDA provider",
    "tensorrt": "ONNX Runtime's TensorRT provider",
}

_IN: Mapping[Precision, str] = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to execute a model; its name is such as ``fp16-compile``."""

    precision: Precision
    way: Way

    def __str__(self) -> str:
        return f"{self.precision}-{self.way}"

    @classmethod
    def named(cls, name: str) -> Self:
        """:raises InputError: if that is no variant's name"""
        for precision, way in product(get_args(Precision), get_args(Way)):
            if name == f"{precision}-{way}":
                return cls(precision, way)
        raise InputError(f"{name!r} names no way to run a model; one is such as fp16-compile.")

    @property
    def words(self) -> str:
        """What executes the model, and in which precision, for somebody who is to do it elsewhere."""
        return f"{_BY[self.way]} in {_IN[self.precision]}"

    @property
    def is_exact(self) -> bool:
        """Whether answers are those of the file but for the order of its sums: TensorRT may round products to TF32."""
        return self.precision == "fp32" and self.way != "tensorrt"


_PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")
_TORCHS_WAYS: tuple[Way, ...] = ("eager", "compile", "graph")

ON_CUDA: Mapping[str, tuple[Variant, ...]] = {
    "torch": tuple(Variant(precision, way) for precision in _PRECISIONS for way in _TORCHS_WAYS),
    "onnxruntime": (Variant("fp32", "cuda"), Variant("fp32", "tensorrt"), Variant("fp16", "tensorrt")),
}
"""For each runtime that has GPUs, its variants; the first is the plain one, that others are compared with."""
