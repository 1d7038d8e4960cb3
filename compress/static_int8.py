"""A float ONNX model and the ranges of its tensors become a static INT8 model for ONNX Runtime on CPUs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

from compress.calibration import save_typed
from compress.onnx_nodes import check_excluded, onnx_runtime_failing

# Unsigned activations and signed symmetric weights: the one pair with fast kernels on x86. Measured at
# batch 1 with 2 threads and AVX512-VNNI, as speed relative to float: a small ResNet 2.5x, MobileNetV2 1.6x;
# with unsigned weights 1.2x and 0.9x; with signed activations 0.5x and 0.95x, and no more accurate.
ACTIVATION_TYPE = QuantType.QUInt8
WEIGHT_TYPE = QuantType.QInt8
# Products of a weight only, and their sums go on as float32: each is followed by float operators anyway, and
# 8 bits for them cost a text encoder about a point of accuracy.
EXTRA_OPTIONS = {"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": ["MatMul"]}
PROTOBUF_LIMIT_BYTES = 2**31 - 2**24  # a protobuf ends at 2 GiB; the margin is for all that is not a weight


def quantize_static_int8(
    model_path: Path,
    out_path: Path,
    ranges: TensorsData,
    *,
    op_types: Sequence[str],
    per_channel: bool,
    reduce_range: bool,
    exclude: Sequence[str],
) -> None:
    """Write the model with QuantizeLinear/DequantizeLinear pairs around its operators and INT8 weights.

    Weights go to ``<out name>.data`` beside the file when they would not fit in one protobuf.

    :param model_path: the float model that the ranges were collected on; not written to, nor its folder
    :param out_path: where to write; its folder exists
    :param ranges: of :func:`compress.calibration.calibrate`, with at least these `op_types`
    :param op_types: ONNX operators to quantize
    :param per_channel: a scale per output channel of a weight rather than per weight
    :param reduce_range: 7-bit weights, since processors without VNNI add pairs of products
        in 16 bits: emulated without it, the small ResNet then gave the logits of a CPU with VNNI bit for bit,
        and with 8-bit weights another class on 4 % of the images (MobileNetV2: on 8 %). It costs no time. It
        cost the ResNet 0.2 points of accuracy, but MobileNetV2, with its depthwise convolutions, 13
    :param exclude: names of nodes that stay float
    :raises InputError: `exclude` names a node that the model does not have
    """
    with tempfile.TemporaryDirectory(prefix="ftc-static-") as folder:
        model = load_model_with_shape_infer(save_typed(model_path, Path(folder) / "typed.onnx"))
    check_excluded(model, exclude, model_path)
    with onnx_runtime_failing(model_path):
        quantizer = QDQQuantizer(
            model,
            per_channel=per_channel,
            reduce_range=reduce_range,
            weight_qType=WEIGHT_TYPE,
            activation_qType=ACTIVATION_TYPE,
            tensors_range=ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=list(exclude),
            op_types_to_quantize=list(op_types),
            extra_options=EXTRA_OPTIONS,
        )
        quantizer.quantize_model()
    quantized = quantizer.model
    quantized.topological_sort()
    del quantized.model.graph.value_info[:]
    weights_bytes = sum(len(weight.raw_data) for weight in quantized.model.graph.initializer)
    external = weights_bytes > PROTOBUF_LIMIT_BYTES
    onnx.save(quantized.model, out_path, save_as_external_data=external, location=out_path.name + ".data")
