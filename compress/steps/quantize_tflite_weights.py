"""Smaller weights in a TFLite file: dynamic INT8, INT8 for storage only, and float16; none of them needs data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ai_edge_quantizer import qtyping, recipe

from compress.step import Made
from compress.tflite_quantizer import left_in_float, on, quantized

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset

FLOAT16_OPERATIONS = (
    "FULLY_CONNECTED",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "CONV_2D_TRANSPOSE",
    "EMBEDDING_LOOKUP",
)
"""Those whose weights the quantizer can store in 16 bits."""


@dataclass(frozen=True, slots=True)
class QuantizeTfliteDynamic:
    """INT8 weights, per channel; activations are quantized as they come, and sums are those of integers.

    :param exclude: regular expressions for the tensors whose operations stay in float
    """

    exclude: tuple[str, ...] = ()

    name: ClassVar[str] = "quantize-tflite-dynamic"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 2

    @property
    def suffix(self) -> str:
        return "dynamic-int8" + ("-mixed" if self.exclude else "")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        return quantized(source, draft, recipe.dynamic_wi8_afp32() + left_in_float(self.exclude))


@dataclass(frozen=True, slots=True)
class QuantizeTfliteWeightOnly:
    """INT8 weights, per channel, turned back into floats to compute with: small, not fast.

    :param exclude: regular expressions for the tensors whose operations stay in float
    """

    exclude: tuple[str, ...] = ()

    name: ClassVar[str] = "quantize-tflite-weight-only"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 2

    @property
    def suffix(self) -> str:
        return "weight-only-int8" + ("-mixed" if self.exclude else "")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        return quantized(source, draft, recipe.weight_only_wi8_afp32() + left_in_float(self.exclude))


@dataclass(frozen=True, slots=True)
class QuantizeTfliteFloat16:
    """Weights in half precision: half the size, answers hardly differ; for GPUs and NPUs of phones."""

    exclude: tuple[str, ...] = ()

    name: ClassVar[str] = "quantize-tflite-float16"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 2

    @property
    def suffix(self) -> str:
        return "float16" + ("-mixed" if self.exclude else "")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        rule = {
            "regex": ".*",
            "algorithm_key": recipe.AlgorithmName.FLOAT_CASTING,
            "op_config": {
                "weight_tensor_config": {"num_bits": 16, "dtype": qtyping.TensorDataType.FLOAT},
                "compute_precision": qtyping.ComputePrecision.FLOAT,
                "explicit_dequantize": True,
            },
        }
        return quantized(source, draft, on([rule], *FLOAT16_OPERATIONS) + left_in_float(self.exclude))
