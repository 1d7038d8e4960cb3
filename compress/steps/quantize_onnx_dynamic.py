"""Dynamic INT8 of an ONNX file: weights now, activations as they come; needs no data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import onnx
from onnxruntime.quantization import QuantizationMode, QuantType
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.quant_utils import add_infer_metadata

from compress import onnx_nodes
from compress.processors import UNSAFE_8_BIT
from compress.step import Made
from compress.steps.export_onnx import INLINE_LIMIT_BYTES, MODEL_FILE
from ftc.console import progress

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset

OPERATORS = ("MatMul", "Gemm", "Attention", "Gather", "EmbedLayerNormalization")
"""Convolutions are left in float: `ConvInteger` is slower than the float kernel on CPUs (static INT8 serves them)."""


@dataclass(frozen=True, slots=True)
class QuantizeOnnxDynamic:
    """:param per_channel: one scale for each output channel of a weight instead of one for the whole
    :param reduce_range: 7-bit weights. Signed 8-bit weights overflow the 16-bit sums of AVX2 and AVX512 without
        VNNI (two products of 255 x 127 exceed 32,767; 255 x 64 twice does not), and the answers change from one
        processor to the next. With 7 bits they are the same everywhere, at the same speed.
    :param exclude: names of graph nodes to leave in float
    """

    per_channel: bool = True
    reduce_range: bool = True
    exclude: tuple[str, ...] = ()

    name: ClassVar[str] = "quantize-onnx-dynamic"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "dynamic-int8" + ("" if self.reduce_range else "-8bit") + ("-mixed" if self.exclude else "")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        target = draft / MODEL_FILE
        with progress("quantizing weights to INT8"):
            model = onnx_nodes.load(source.model_path)
            onnx_nodes.check_excluded(model, self.exclude, source.model_path)
            with onnx_nodes.onnx_runtime_failing(source.model_path):
                quantizer = self._quantizer(model)
                quantizer.quantize_model()
            external = source.manifest.facts.size_bytes > INLINE_LIMIT_BYTES
            quantizer.model.save_model_to_file(target, use_external_data_format=external)
        size_bytes = sum(file.stat().st_size for file in draft.glob(f"{MODEL_FILE}*"))
        requirements = () if self.reduce_range else (UNSAFE_8_BIT,)
        return Made(
            run=replace(source.manifest.run, requirements=requirements),
            inputs=source.manifest.inputs,
            outputs=source.manifest.outputs,
            facts=replace(source.manifest.facts, size_bytes=size_bytes),
        )

    def _quantizer(self, model: onnx.ModelProto) -> ONNXQuantizer:
        # What `quantize_dynamic` sets up, less its shape inference, which writes a file beside the parent's model and
        # holds three copies of the weights (3.2 times a 2.5 GB model at its peak, 1.3 times without). Shapes are not
        # needed: tensors that the model does not type are float. "static" only chooses that inference at this point.
        add_infer_metadata(model)
        quantizer = ONNXQuantizer(
            model,
            per_channel=self.per_channel,
            reduce_range=self.reduce_range,
            mode=QuantizationMode.IntegerOps,
            static=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=None,
            nodes_to_quantize=[],
            nodes_to_exclude=list(self.exclude),
            op_types_to_quantize=list(OPERATORS),
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        quantizer.static = False
        quantizer.model.replace_gemm_with_matmul()
        return quantizer
