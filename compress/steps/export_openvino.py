"""Export a Hugging Face checkpoint to OpenVINO: float32 weights, dynamic batch and length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import openvino as ov
import torch
from openvino.frontend import GeneralFailure, NotImplementedFailure, OpConversionFailure, OpValidationFailure
from transformers.exporters.exporter_openvino import OpenVINOConfig, OpenVINOExporter

from compress import openvino_ir, traced
from compress.arena import releasable_weights
from compress.choices import Hint, Precision
from compress.step import Made
from compress.unsupported import CONVERTERS_REFUSALS, refusal
from ftc.console import progress
from ftc.huggingface.model import load_model, with_operations_counted
from ftc.manifest import TensorSpec

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset

FRONTEND_FAILURES = (GeneralFailure, NotImplementedFailure, OpConversionFailure, OpValidationFailure)


@dataclass(frozen=True, slots=True)
class ExportOpenvino:
    """OpenVINO IR through `transformers.exporters`, traced on a padded batch so that no axis and no mask is baked in.

    :param precision: what it computes in; the weights are float32 in either case
    :param lengths: tokens that single texts are padded to, since fixed shapes run faster than dynamic ones; none
        for 16, 24, 32, 48, 64, ... up to the longest text that the model takes
    :param hint: what the runtime plans for
    """

    precision: Precision = Precision.F32
    lengths: tuple[int, ...] = ()
    hint: Hint = Hint.LATENCY

    name: ClassVar[str] = "export-openvino"
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
        network = load_model(source)
        # the graph's constants are the network's own tensors: it is written before their memory is given back
        with progress("exporting to OpenVINO"), releasable_weights(network):
            graph = _exported(network, traced.sample(source))
            names = {name for port in graph.inputs for name in port.get_names()}
            inputs = tuple(spec for spec in source.manifest.inputs if spec.name in names)
            openvino_ir.fix_shapes(graph, inputs)
            size_bytes = openvino_ir.write(graph, draft)
            del graph
        return Made(
            run=openvino_ir.instructions(source, self.precision, self.lengths, self.hint),
            inputs=inputs,
            outputs=(TensorSpec("logits", "float32", ("batch", len(source.manifest.labels))),),
            facts=replace(with_operations_counted(source), size_bytes=size_bytes),
        )


def _exported(network: torch.nn.Module, sample: dict[str, torch.Tensor]) -> ov.Model:
    shapes = traced.dynamic_shapes(sample)
    config = OpenVINOConfig(dynamic=True, dynamic_shapes=shapes, stateful=False)
    try:
        graph: ov.Model = OpenVINOExporter().export(network, sample, config=config).program
    except (*CONVERTERS_REFUSALS, *FRONTEND_FAILURES) as error:
        raise refusal(network, sample, error, "OpenVINO") from error
    return graph
