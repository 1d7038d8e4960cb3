"""Whether an ONNX file is in INT8, as its operators say: such files are made for CPUs."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

OPERATORS = frozenset(
    {
        "ConvInteger",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "QAttention",
        "QGemm",
        "QLinearAdd",
        "QLinearConv",
        "QLinearMatMul",
        "QuantizeLinear",
    }
)


def int8_operators(path: Path) -> tuple[str, ...]:
    """The operators of a file that work on 8-bit numbers; none for a float file, and for one that cannot be read."""
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (DecodeError, OSError):
        return ()  # ONNX Runtime says what is wrong with it when it is opened
    return tuple(sorted({node.op_type for node in graph.node} & OPERATORS))
