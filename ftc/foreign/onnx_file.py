"""Reading what an ONNX file takes and answers, and where its weights lie, before anything runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from ftc.errors import InputError
from ftc.foreign.ports import Contents, Port


def read(path: Path) -> Contents:
    """:raises InputError: if it is no ONNX file, or weights that lie beside it are missing, cut short or elsewhere"""
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise InputError(f"{path}: not an ONNX file, or one that was copied in part ({str(error)[:200]}).") from error
    if not model.graph.node or not model.opset_import:
        raise InputError(f"{path}: not an ONNX file: it holds no graph.")
    weights = {tensor.name for tensor in model.graph.initializer}
    beside = _external_files(path, model)
    return Contents(
        (path, *beside),
        tuple(_port(path, model, value, into=True) for value in model.graph.input if value.name not in weights),
        tuple(_port(path, model, value, into=False) for value in model.graph.output),
    )


def _external_files(path: Path, model: onnx.ModelProto) -> tuple[Path, ...]:
    directory = Path(os.path.realpath(path)).parent
    found: dict[Path, None] = {}
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        about = {entry.key: entry.value for entry in tensor.external_data}
        location = about.get("location", "")
        file = Path(os.path.realpath(directory / location))
        if not location or not file.is_relative_to(directory):
            raise InputError(
                f"{path}: the weight {tensor.name!r} is said to lie in {location[:200]!r}, outside the directory of "
                "the model; not opened."
            )
        if not os.path.isfile(file):
            raise InputError(f"{path}: its weights in {location[:200]!r} are missing; put that file beside it.")
        end = _number(about.get("offset", "0")) + _number(about.get("length", "0"))
        if file.stat().st_size < end:
            raise InputError(
                f"{path}: {location[:200]!r} has {file.stat().st_size} bytes, the weight {tensor.name!r} ends at "
                f"{end}: it was copied in part."
            )
        found[file] = None
    return tuple(found)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model, those of subgraphs, attributes and functions included."""
    graphs = [message.graph] if isinstance(message, onnx.ModelProto) else []
    nodes = [node for function in getattr(message, "functions", ()) for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes += graph.node
            continue
        for attribute in nodes.pop().attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            graphs += [attribute.g] if attribute.HasField("g") else []
            graphs += attribute.graphs


def _port(path: Path, model: onnx.ModelProto, value: onnx.ValueInfoProto, *, into: bool) -> Port:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise InputError(f"{path}: {value.name!r} is no tensor whose number of dimensions is known.")
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    except KeyError as error:
        raise InputError(f"{path}: {value.name!r} has no type that ONNX knows ({kind.elem_type}).") from error
    sizes = tuple(size.dim_value if size.dim_value > 0 else None for size in kind.shape.dim)
    scale, zero_point = _quantization(model, value.name, into=into) if dtype in ("int8", "uint8") else (None, 0)
    return Port(value.name, dtype, sizes, scale, zero_point)


def _quantization(model: onnx.ModelProto, name: str, *, into: bool) -> tuple[float | None, int]:
    """Scale and zero point of an integer input that is dequantized at once, or of an output that was just quantized."""
    operator = "DequantizeLinear" if into else "QuantizeLinear"
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        tied = node.input[:1] if into else node.output[:1]
        if node.op_type != operator or list(tied) != [name] or node.input[1] not in held:
            continue
        scale = onnx.numpy_helper.to_array(held[node.input[1]])
        zero = held.get(node.input[2]) if len(node.input) > 2 else None
        if scale.size == 1:
            return float(scale.item()), int(onnx.numpy_helper.to_array(zero).item()) if zero is not None else 0
    return None, 0
