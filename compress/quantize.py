"""The verbs `export` and `quantize`: the steps a request needs, in order, each an artifact of its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from compress.apply import apply
from compress.steps import STEPS
from ftc.checkpoint import with_operations
from ftc.errors import InputError

if TYPE_CHECKING:
    from compress.step import Step
    from ftc.artifact import Artifact
    from ftc.data import Dataset

CONVOLUTIONAL_SHARE = 0.5
"""Above this share of multiply-accumulates in convolutions a model is treated as convolutional."""


class Mode(StrEnum):
    """How activations get their ranges."""

    DYNAMIC = "dynamic"
    STATIC = "static"


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks `quantize` for; None leaves a choice to the kind of model.

    :param rows: calibration rows, drawn from the data with a fixed seed
    """

    mode: str | None = None
    method: str | None = None
    rows: int = 256
    per_channel: bool = True
    exclude: tuple[str, ...] = ()
    graph: str = "fused"


def is_convolutional(source: Artifact) -> bool:
    """Whether convolutions do most of the work."""
    facts = source.manifest.facts
    if facts.convolution_share is None and source.manifest.is_root:
        facts = with_operations(source).manifest.facts
    return (facts.convolution_share or 0.0) > CONVOLUTIONAL_SHARE


def export(
    source: Artifact,
    artifacts: Path,
    *,
    graph: str = "fused",
    output: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Export a checkpoint to float ONNX.

    :param artifacts: where the result goes, named after the checkpoint, unless `output` names a place
    :raises InputError: if the source is not a checkpoint
    """
    module = STEPS.load("export-onnx")
    step: Step = module(graph=_graph(graph))
    return apply(step, source, output or named(source, step, artifacts), replace_existing=force)


def quantize(
    source: Artifact,
    artifacts: Path,
    request: Request = Request(),
    *,
    data: Dataset | None = None,
    output: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Quantize a checkpoint to INT8, exporting it first, or an artifact that is exported already.

    The export stays in `artifacts` as an artifact of its own: it is what the result is compared with.

    :param data: rows to calibrate on, for static quantization
    :raises InputError: if the request contradicts itself or the model, or the source is quantized already
    """
    if any(link.step is not None and link.step.name.startswith("quantize-") for link in source.manifest.lineage):
        raise InputError(f"{source.path} is quantized already; quantize the float artifact it was made from.")
    convolutional = is_convolutional(source)
    mode = Mode(request.mode) if request.mode is not None else (Mode.STATIC if convolutional else Mode.DYNAMIC)
    if mode is Mode.DYNAMIC and convolutional:
        raise InputError(
            f"{source.path} is a convolutional model: its convolutions run slower in dynamic INT8 than in float. "
            "Use --mode static with --data DATA: a few hundred training or validation images."
        )
    if mode is Mode.DYNAMIC and (data is not None or request.method is not None):
        raise InputError("dynamic INT8 takes no calibration data and no --method; did you mean --mode static?")
    if mode is Mode.STATIC and data is None:
        raise InputError(
            f"{source.path}: static INT8{', which a convolutional model needs,' if convolutional else ''} measures "
            "ranges on data: give --data DATA, a few hundred training or validation rows. "
            "Random inputs would give wrong ranges."
        )
    if data is not None:
        data = data.sample(request.rows, seed=0)
    if source.manifest.is_root:
        source = export(source, artifacts, graph=request.graph)
    if mode is Mode.DYNAMIC:
        step: Step = STEPS.load("quantize-onnx-dynamic")(per_channel=request.per_channel, exclude=request.exclude)
    else:
        step = STEPS.load("quantize-onnx-static").for_model(
            source,
            convolutional=convolutional,
            method=request.method or "minmax",
            per_channel=request.per_channel,
            exclude=request.exclude,
        )
    return apply(step, source, output or named(source, step, artifacts), data=data, replace_existing=force)


def named(source: Artifact, step: Step, artifacts: Path) -> Path:
    """The default place of a step's result: ``<artifacts>/<checkpoint>-<step>``."""
    return artifacts / f"{source.manifest.lineage[0].name}-{step.suffix}"


def _graph(name: str) -> StrEnum:
    from compress.steps.export_onnx import Graph

    return Graph(name)
