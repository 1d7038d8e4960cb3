"""The verbs `export` and `quantize`: the steps a request needs, in order, each an artifact of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.apply import apply
from compress.convolutional import is_convolutional
from compress.route import route
from compress.steps import STEPS, Mode
from ftc.errors import InputError

if TYPE_CHECKING:
    from compress.step import Step
    from ftc.artifact import Artifact
    from ftc.data import Dataset

Given = Mapping[str, Any]
"""Options of steps by the names of their fields, those alone that the user gave."""


def export(
    source: Artifact,
    artifacts: Path,
    *,
    to: str = "onnx",
    given: Given | None = None,
    data: Dataset | None = None,
    output: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Export a checkpoint to a format, in float.

    :param artifacts: where results go, named after the checkpoint, unless `output` names a place
    :param given: options of the steps on the way
    :param data: rows whose lengths the export may be fitted to
    :raises InputError: if no steps lead from the source's format to `to`, or an option belongs to none of them
    """
    names = route(source.manifest.format, to)
    if not names:
        raise InputError(f"{source.path} is {to} already.")
    return _apply_all(names, source, artifacts, given or {}, data, output, force)


def quantize(
    source: Artifact,
    artifacts: Path,
    *,
    to: str | None = None,
    mode: Mode | None = None,
    given: Given | None = None,
    data: Dataset | None = None,
    rows: int = 256,
    output: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Quantize a checkpoint, exporting it first, or an artifact that is exported already.

    The export stays in `artifacts` as an artifact of its own: it is what the result is compared with.

    :param to: the format; None for the source's own, and ONNX or TFLite for a checkpoint
    :param mode: None for static where convolutions do most of the work, else dynamic
    :param data: rows to calibrate on, for static quantization
    :param rows: how many of them are taken, drawn with a fixed seed
    :raises InputError: if the request contradicts itself or the model, or the source is quantized already
    """
    for link in source.manifest.lineage:
        if link.step is not None and STEPS.entries[link.step.name].mode is not None:
            raise InputError(f"{source.path} is quantized already; quantize the float artifact it was made from.")
    convolutional = is_convolutional(source)
    mode = mode or ("static" if convolutional else "dynamic")
    if mode == "dynamic" and convolutional:
        raise InputError(
            f"{source.path} is a convolutional model: its convolutions run slower in dynamic INT8 than in float. "
            "Use --mode static with --data DATA: a few hundred training or validation images."
        )
    if to is None:
        to = source.manifest.format if not source.manifest.is_root else "onnx"
    names = route(source.manifest.format, to, mode)
    calibrated = STEPS.load(names[-1]).needs_data
    if not calibrated and data is not None:
        raise InputError(f"{mode} quantization takes no calibration data; did you mean --mode static?")
    if calibrated and data is None:
        raise InputError(
            f"{source.path}: static INT8{', which a convolutional model needs,' if convolutional else ''} measures "
            "ranges on data: give --data DATA, a few hundred training or validation rows. "
            "Random inputs would give wrong ranges."
        )
    if data is not None:
        data = data.sample(rows, seed=0)
    return _apply_all(names, source, artifacts, given or {}, data, output, force)


def named(source: Artifact, step: Step, artifacts: Path) -> Path:
    """The default place of a step's result: ``<artifacts>/<checkpoint>-<step>``."""
    return artifacts / f"{source.manifest.lineage[0].name}-{step.suffix}"


def _apply_all(
    names: Sequence[str],
    source: Artifact,
    artifacts: Path,
    given: Given,
    data: Dataset | None,
    output: Path | None,
    force: bool,
) -> Artifact:
    classes = [STEPS.load(name) for name in names]
    options = [{field.name for field in fields(step_class)} for step_class in classes]
    for name in given:
        if not any(name in understood for understood in options):
            raise InputError(
                f"--{name.replace('_', '-')} is no option of {' and '.join(names)}, which this request needs; "
                f"they take: {', '.join(sorted(set().union(*options))) or 'none'}."
            )
    for step_class, understood in zip(classes, options, strict=True):
        mine = {name: value for name, value in given.items() if name in understood}
        step = step_class.for_model(source, data, **mine) if hasattr(step_class, "for_model") else step_class(**mine)
        last = step_class is classes[-1]
        source = apply(
            step,
            source,
            (output if last else None) or named(source, step, artifacts),
            data=data if step.needs_data else None,
            replace_existing=force and last,
        )
    return source
