"""Questions about the nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx

from ftc.errors import InputError


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
    model = onnx.load(path, load_external_data=False)
    return any(
        attribute.name == "group" and attribute.i > 1
        for node in model.graph.node
        if node.op_type == "Conv"
        for attribute in node.attribute
    )
