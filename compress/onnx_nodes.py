"""ONNX files read, and questions about the nodes of their graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from ftc.errors import FtcError, InputError, RunError, first_line


def load(path: Path, *, external_data: bool = True) -> onnx.ModelProto:
    """Read an ONNX file, with the weights that lie beside it.

    :raises InputError: if it is none, or its weights cannot be read
    """
    try:
        model = onnx.load(path, format="protobuf", load_external_data=external_data)
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as error:
        raise InputError(f"{path}: not an ONNX file that can be read ({str(error)[:200]}). Make it again.") from error
    if not model.graph.node or not model.opset_import:
        raise InputError(f"{path}: not an ONNX file: it holds no graph. Make it again.")
    return model


@contextmanager
def onnx_runtime_failing(path: Path) -> Iterator[None]:
    """What ONNX Runtime and its quantizer raise shares no base class: all of it ends the run, naming the file.

    :raises RunError: if anything inside fails otherwise than by an error of this program
    """
    try:
        yield
    except FtcError:
        raise
    except Exception as error:
        raise RunError(f"{path}: ONNX Runtime fails on it: {first_line(error)}") from error


def check_excluded(model: onnx.ModelProto, exclude: Sequence[str], where: Path) -> None:
    """:raises InputError: if a node that is to stay in float does not exist"""
    names = [node.name for node in model.graph.node]
    unknown = sorted(set(exclude) - set(names))
    if unknown:
        raise InputError(
            f"{where} has no node named {', '.join(unknown)}; nothing was excluded. Its nodes are named like "
            f"{', '.join(names[:5])}: list them with onnx.load(...).graph.node."
        )


def has_grouped_convolutions(path: Path) -> bool:
    """Whether any convolution of the model works on groups of channels, as depthwise ones do."""
    model = load(path, external_data=False)
    return any(
        attribute.name == "group" and attribute.i > 1
        for node in model.graph.node
        if node.op_type == "Conv"
        for attribute in node.attribute
    )
