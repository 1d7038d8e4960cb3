"""What a format cannot express, said by operator and layer instead of in a converter's stack trace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from ftc.errors import RunError

CONVERTERS_REFUSALS = (
    torch.onnx.OnnxExporterError,
    torch._dynamo.exc.TorchDynamoException,
    RuntimeError,
    NotImplementedError,
    TypeError,
    ValueError,
    LookupError,
)
"""What exporters raise on operators and on Python code that they cannot follow."""

_OPERATOR = re.compile(r"(?:Lowering not found: |torch\.ops\.|OpOverload\(op='|operations?: )(\w+\.\w+(?:\.\w+)?)")


def refusal(model: torch.nn.Module, sample: Mapping[str, torch.Tensor], error: BaseException, to: str) -> RunError:
    """An exporter's failure as one message.

    :param sample: keyword arguments that the model was exported with
    :param to: the format, as people write it
    """
    words = _words_of(error)
    found = _OPERATOR.search(words)
    if found is None:
        first = next((line for line in words.splitlines() if line.strip()), type(error).__name__)
        return RunError(
            f"{_name(model)} cannot be exported to {to}: {first[:300]} Run again with -v for the exporter's own words."
        )
    operator = found.group(1)
    layer = _layer_with(operator, model, sample)
    where = f" in layer {layer}" if layer else ""
    return RunError(
        f"{_name(model)} cannot be exported to {to}: its operator {operator}{where} has no counterpart there. "
        "Choose another format with --to, or replace that layer."
    )


def _words_of(error: BaseException | None) -> str:
    # the innermost exception is the one that knows the operator
    words = ""
    while error is not None:
        words = f"{error}\n{words}"
        error = error.__cause__ or error.__context__
    return words


def _name(model: torch.nn.Module) -> str:
    inner = getattr(model, "model", model)
    return type(inner if isinstance(inner, torch.nn.Module) else model).__name__


def _layer_with(operator: str, model: torch.nn.Module, sample: Mapping[str, torch.Tensor]) -> str | None:
    """The dotted name of the first module that calls an operator; None if tracing the model does not show it."""
    try:
        program = torch.export.export(model, args=(), kwargs=dict(sample)).run_decompositions({})
    except CONVERTERS_REFUSALS:
        return None
    function = operator.split(".")[1]  # aten.special_bessel_j0.default and prims.bessel_j0 are one
    for node in program.graph.nodes:
        if node.op == "call_function" and function in str(node.target):
            stack: Mapping[str, Any] = node.meta.get("nn_module_stack") or {}
            names = [path for path, _ in stack.values() if path]
            return names[-1].removeprefix("model.") if names else None
    return None
