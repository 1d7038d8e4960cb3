"""Reading what an OpenVINO IR takes and answers."""

from __future__ import annotations

from pathlib import Path

import openvino as ov

from ftc.errors import InputError
from ftc.foreign.ports import Contents, Port
from ftc.runtimes.openvino_runtime import read_model


def read(path: Path) -> Contents:
    """:raises InputError: if it is no IR, its `.bin` is missing or cut short, or an operator is unknown"""
    weights = Path(path.resolve()).with_suffix(".bin")
    if not weights.is_file():
        raise InputError(f"{path}: its weights, {weights.name}, are missing; an OpenVINO IR is an .xml with its .bin.")
    model = read_model(ov.Core(), path)
    return Contents((path, weights), tuple(map(_port, model.inputs)), tuple(map(_port, model.outputs)))


def _port(port: ov.Output) -> Port:
    shape = port.partial_shape
    sizes = () if shape.rank.is_dynamic else tuple(size.get_length() if size.is_static else None for size in shape)
    return Port(port.any_name, port.element_type.to_dtype().name, sizes)
