"""Smaller TFLite files: what several signatures say alike is written once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert.schema_py_generated import QuantizationParametersT, TensorT

_MODULE_PATH = re.compile(r"[\w.]*\.(?=\w)")


@contextmanager
def sharing() -> Iterator[None]:
    """Let the TFLite files that are written meanwhile hold equal names and equal quantization parameters once.

    A file for seven lengths of text tells of every tensor seven times, and of each channel of its weights by a scale
    and a zero point of 12 bytes together: of a pruned MiniLM's 22.7 MB that was 4.7. The format refers to strings and
    tables by their place in the file, so that readers need not know (FlatBuffers' own `CreateSharedString`); names of
    tensors, which it has for debugging alone, become short ones that all signatures share.
    """
    create, pack, pack_tensor = flatbuffers.Builder.CreateString, QuantizationParametersT.Pack, TensorT.Pack
    places: dict[tuple[flatbuffers.Builder, object], int] = {}

    def create_shared(builder: flatbuffers.Builder, text: str | bytes, *others: Any, **named: Any) -> int:
        known = (builder, text)
        if known not in places:
            places[known] = create(builder, text, *others, **named)
        return places[known]

    def pack_shared(parameters: QuantizationParametersT, builder: flatbuffers.Builder) -> int:
        if parameters.details is not None:
            return int(pack(parameters, builder))
        vectors = (parameters.min, parameters.max, parameters.scale, parameters.zeroPoint)
        told = tuple(None if vector is None else np.asarray(vector).tobytes() for vector in vectors)
        known = (builder, (*told, parameters.quantizedDimension))
        if known not in places:
            places[known] = pack(parameters, builder)
        return places[known]

    def pack_named(tensor: TensorT, builder: flatbuffers.Builder) -> int:
        if tensor.name is not None:
            tensor.name = short(tensor.name)
        return int(pack_tensor(tensor, builder))

    flatbuffers.Builder.CreateString = create_shared
    QuantizationParametersT.Pack, TensorT.Pack = pack_shared, pack_named
    try:
        yield
    finally:
        flatbuffers.Builder.CreateString = create
        QuantizationParametersT.Pack, TensorT.Pack = pack, pack_tensor


def short(name: str | bytes) -> str:
    """The first of the operations that a tensor's name lists, and of each module on the way its own name alone.

    What is no path, as the names of inputs and outputs, stays as it is.
    """
    text = name.decode() if isinstance(name, bytes) else name
    return _MODULE_PATH.sub("", text.split(";")[0]) if "/" in text else text
