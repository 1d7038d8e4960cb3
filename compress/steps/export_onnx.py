"""Export a Hugging Face checkpoint to ONNX: float32, dynamic batch and length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir
import torch
from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

from compress import onnx_rewrites, traced
from compress.arena import releasable_weights
from compress.choices import Graph
from compress.step import Made
from compress.unsupported import CONVERTERS_REFUSALS, refusal
from ftc.console import progress
from ftc.huggingface.model import load_model, with_operations_counted
from ftc.manifest import RunInstructions, TensorSpec

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset

MODEL_FILE = "model.onnx"
INLINE_LIMIT_BYTES = 1 << 30
"""Weights up to this size go into the model file; larger ones beside it, since protobuf ends at 2 GiB."""


@dataclass(frozen=True, slots=True)
class ExportOnnx:
    """Float ONNX through `transformers.exporters`, traced on a padded batch so that no axis and no mask is baked in."""

    graph: Graph = Graph.FUSED

    name: ClassVar[str] = "export-onnx"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "onnx" if self.graph is Graph.FUSED else "onnx-plain"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        fused = self.graph is Graph.FUSED
        # the fusions know the operators of "eager" attention only
        model = load_model(source, attention="eager" if fused else None)
        with progress("exporting to ONNX"), releasable_weights(model):
            program = _exported(model, traced.sample(source), fused)
            if fused:
                onnx_rewrites.for_cpu(program)
            else:
                onnx_rewrites.clean(program)
            size_bytes = _save(program, draft)
        used = {value.name for value in program.graph.inputs}
        return Made(
            run=RunInstructions("onnxruntime", MODEL_FILE, onnx_rewrites.KEEP_UNFUSED if fused else {}),
            inputs=tuple(spec for spec in source.manifest.inputs if spec.name in used),
            outputs=tuple(
                TensorSpec(value.name, "float32", ("batch", len(source.manifest.labels)))
                for value in program.graph.outputs
                if value.name == "logits"
            ),
            facts=replace(with_operations_counted(source), size_bytes=size_bytes),
        )


def _exported(model: torch.nn.Module, sample: dict[str, torch.Tensor], fused: bool) -> ir.Model:
    shapes = traced.dynamic_shapes(sample)
    config = OnnxConfig(dynamic=True, dynamic_shapes=shapes, ort_fusions="cpu" if fused else None)
    try:
        program: ir.Model = OnnxExporter().export(model, sample, config=config).program
    except CONVERTERS_REFUSALS as error:
        raise refusal(model, sample, error, "ONNX") from error
    for axis, name in enumerate(("batch", "length")):
        for value in (*program.graph.inputs, *program.graph.outputs):
            shape = value.shape
            if shape is not None and axis < len(shape) and not isinstance(shape[axis], int):
                value.shape = ir.Shape([name if i == axis else d for i, d in enumerate(shape)])
    return program


def _save(program: ir.Model, draft: Path) -> int:
    weights = sum(
        value.const_value.nbytes for value in program.graph.initializers.values() if value.const_value is not None
    )
    external = f"{MODEL_FILE}.data" if weights > INLINE_LIMIT_BYTES else None
    ir.save(program, draft / MODEL_FILE, external_data=external)
    return sum(file.stat().st_size for file in draft.glob(f"{MODEL_FILE}*"))
