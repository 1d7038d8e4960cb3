"""ONNX Runtime on an NVIDIA GPU: its CUDA provider, and TensorRT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import onnxruntime as ort

from ftc.errors import InputError
from ftc.preprocessing import TextPreprocessing
from ftc.runtimes.onnx_int8 import int8_operators
from ftc.runtimes.onnx_runtime import OnnxRuntime
from ftc.runtimes.variant import ON_CUDA, Variant

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.manifest import Manifest
    from ftc.runtimes.session import SessionOptions

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"

MOST_ROWS = 64
"""Of a batch that TensorRT is told to be ready for; a larger one makes it build its engine anew."""


class OnnxCuda:
    """A float `.onnx` file on the GPU. A call takes arrays to the GPU and brings its answers back."""

    formats: ClassVar[frozenset[str]] = OnnxRuntime.formats
    devices: ClassVar[frozenset[str]] = frozenset({"cuda"})
    settings: ClassVar[frozenset[str]] = OnnxRuntime.settings
    concurrent: ClassVar[bool] = False

    def __init__(self, session: OnnxRuntime, variant: Variant) -> None:
        self._session, self._variant = session, variant

    @classmethod
    def check_available(cls) -> None:
        """:raises InputError: if this build of ONNX Runtime has no CUDA provider"""
        _check_offered(CUDA)

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        path, variant = artifact.model_path, options.variant or ON_CUDA["onnxruntime"][0]
        check_float(path)
        wanted = TENSORRT if variant.way == "tensorrt" else CUDA
        _check_offered(wanted)
        if hasattr(ort, "preload_dlls"):
            ort.preload_dlls()  # CUDA's libraries from the packages that PyTorch brings them in
        session = OnnxRuntime.open_with(artifact, options, providers(artifact.manifest, variant))
        if wanted not in session.providers:
            raise InputError(
                f"{path}: ONNX Runtime went on without its {wanted}, whose libraries it cannot load. Install those of "
                "the versions that onnxruntime-gpu names."
            )
        return cls(session, variant)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._session.run(inputs)

    def conditions(self) -> dict[str, str]:
        return {**self._session.conditions(), "dtype": self._variant.precision, "tf32": _tf32(self._variant)}


def check_float(path: Path) -> None:
    """:raises InputError: if a file is in INT8, with the reason why that is not for GPUs"""
    found = int8_operators(path)
    if found:
        raise InputError(
            f"{path} is INT8 made for CPUs: ONNX Runtime's CUDA provider computes {', '.join(found)} on the CPU, with "
            "a copy there and back each time, or in float32 between two conversions. Measure its float parent here, or "
            "this file with --device cpu."
        )


def providers(manifest: Manifest, variant: Variant) -> list[tuple[str, dict[str, str]]]:
    """ONNX Runtime's providers for a variant, the one that comes first first, with their settings.

    TensorRT is told the shapes to be ready for: without them it would build its engine anew, for seconds to minutes,
    whenever a text is longer than all before.
    """
    cuda = (CUDA, {"use_tf32": "0"})
    if variant.way != "tensorrt":
        return [cuda]
    shapes = {edge: _shapes(manifest, edge) for edge in ("min", "opt", "max")}
    settings = {f"trt_profile_{edge}_shapes": ",".join(shapes[edge]) for edge in shapes}
    if variant.precision == "fp16":
        settings["trt_fp16_enable"] = "1"
    return [(TENSORRT, settings), cuda]


def _shapes(manifest: Manifest, edge: str) -> list[str]:
    """Each input with its shape at one edge of what it may be, such as ``input_ids:1x1``."""
    spec = manifest.preprocessing
    longest = spec.max_length if isinstance(spec, TextPreprocessing) else 1
    sizes = {
        "batch": {"min": 1, "opt": 1, "max": MOST_ROWS}[edge],
        "length": {"min": 1, "opt": min(32, longest), "max": longest}[edge],
    }
    return [
        f"{tensor.name}:{'x'.join(str(sizes.get(str(size), size)) for size in tensor.shape)}"
        for tensor in manifest.inputs
    ]


def _tf32(variant: Variant) -> str:
    return "off" if variant.way == "cuda" else "as TensorRT chooses"


def _check_offered(provider: str) -> None:
    offered = ort.get_available_providers()
    if provider not in offered:
        raise InputError(
            f"this onnxruntime {ort.__version__} has no {provider} (it has {', '.join(offered)}). Install "
            "onnxruntime-gpu in place of onnxruntime."
        )
