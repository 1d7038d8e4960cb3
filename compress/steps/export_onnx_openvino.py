"""Convert a float ONNX file to OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import openvino as ov
from openvino.frontend import GeneralFailure, NotImplementedFailure, OpConversionFailure, OpValidationFailure

from compress import openvino_ir
from compress.choices import Hint, Precision
from compress.step import Made
from compress.steps import STEPS
from ftc.console import progress
from ftc.errors import InputError
from ftc.runtimes.openvino_runtime import told

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset


@dataclass(frozen=True, slots=True)
class ExportOnnxOpenvino:
    """OpenVINO IR of an ONNX file. Parameters as for `ExportOpenvino`."""

    precision: Precision = Precision.F32
    lengths: tuple[int, ...] = ()
    hint: Hint = Hint.LATENCY

    name: ClassVar[str] = "export-onnx-openvino"
    needs_data: ClassVar[bool] = False
    revision: ClassVar[int] = 1

    @classmethod
    def for_model(cls, source: Artifact, data: Dataset | None, **given: Any) -> Self:
        """The step with the lengths given, in order."""
        return cls(**{**given, "lengths": openvino_ir.checked_lengths(source, given.get("lengths", ()))})

    @property
    def lossy(self) -> bool:
        """bfloat16 keeps 8 of float32's 24 significant bits."""
        return self.precision is not Precision.F32

    @property
    def suffix(self) -> str:
        return openvino_ir.suffix(self.precision, self.lengths, self.hint)

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        for link in source.manifest.lineage:
            if link.step is not None and STEPS.entries[link.step.name].mode is not None:
                raise InputError(
                    f"{source.path} is quantized for ONNX Runtime, whose INT8 operators OpenVINO does not take over. "
                    "Quantize for OpenVINO from the checkpoint: ftc quantize CHECKPOINT --to openvino --mode static."
                )
        path = source.model_path
        with progress("converting to OpenVINO"):
            try:
                graph = ov.convert_model(path)
            except (
                GeneralFailure,
                NotImplementedFailure,
                OpConversionFailure,
                OpValidationFailure,
                RuntimeError,
            ) as error:
                raise InputError(
                    f"{path}: OpenVINO cannot convert it: {told(error)} "
                    "If it holds operators of ONNX Runtime, export it with --graph plain."
                ) from error
            openvino_ir.fix_shapes(graph, source.manifest.inputs)
            openvino_ir.forget_how(graph)
            size_bytes = openvino_ir.write(graph, draft)
        return Made(
            run=openvino_ir.instructions(source, self.precision, self.lengths, self.hint),
            inputs=source.manifest.inputs,
            outputs=source.manifest.outputs,
            facts=replace(source.manifest.facts, size_bytes=size_bytes),
        )
