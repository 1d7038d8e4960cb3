"""Export a Keras model to ONNX: float32, dynamic batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import onnx
import tensorflow as tf
import tf2onnx

from compress.step import Made
from compress.steps.export_keras_tflite import no_operator
from ftc.console import progress
from ftc.errors import RunError, first_line
from ftc.keras.model import import_tensorflow, load_network
from ftc.manifest import RunInstructions, TensorSpec

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset

MODEL_FILE = "model.onnx"
OPSET = 18
"""The newest that tf2onnx 1.17 writes."""


@dataclass(frozen=True, slots=True)
class ExportKerasOnnx:
    """ONNX through tf2onnx. Images stay (batch, height, width, 3), as the model has them."""

    name: ClassVar[str] = "export-keras-onnx"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "onnx"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        with progress("exporting to ONNX"):
            onnx.save(_exported(source), draft / MODEL_FILE)
        manifest = source.manifest
        return Made(
            run=RunInstructions("onnxruntime", MODEL_FILE, {}),
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            facts=replace(manifest.facts, size_bytes=(draft / MODEL_FILE).stat().st_size),
        )


def _exported(source: Artifact) -> onnx.ModelProto:
    import_tensorflow()
    network = load_network(source.model_path)
    manifest = source.manifest
    entry, exit_ = manifest.inputs[0], manifest.outputs[0]
    shape = (None, *(size for size in entry.shape[1:] if isinstance(size, int)))

    def answer(values: tf.Tensor) -> tf.Tensor:
        return tf.identity(tf.cast(network.call(tf.cast(values, network.dtype)), tf.float32), exit_.name)

    try:
        model, _ = tf2onnx.convert.from_function(
            tf.function(answer, autograph=False), [tf.TensorSpec(shape, tf.float32, entry.name)], opset=OPSET
        )
    except (ValueError, RuntimeError, NotImplementedError, KeyError, tf.errors.OpError) as error:
        raise RunError(
            f"{source.path} cannot be exported to ONNX: {first_line(error)} "
            "Run again with -v for the exporter's own words."
        ) from error
    # what it does not know it leaves in the graph as it is
    unknown = [node for node in model.graph.node if not onnx.defs.has(node.op_type, node.domain)]
    if unknown:
        kinds = sorted({node.op_type for node in unknown})
        raise RunError(no_operator(source, "ONNX", kinds, [node.name for node in unknown]))
    _name(model, entry, exit_)
    return model


def _name(model: onnx.ModelProto, entry: TensorSpec, exit_: TensorSpec) -> None:
    """Give the graph's input and output the names and the axes that the manifest has."""
    for value, spec in ((model.graph.input[0], entry), (model.graph.output[0], exit_)):
        old = value.name
        for node in model.graph.node:
            for names in (node.input, node.output):
                for number, name in enumerate(names):
                    if name == old:
                        names[number] = spec.name
        kind = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, spec.shape)
        value.name = spec.name
        value.type.CopyFrom(kind)
    # the exporter's guesses of inner shapes carry its own names of the batch
    del model.graph.value_info[:]
