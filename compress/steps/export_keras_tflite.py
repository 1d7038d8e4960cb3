"""Export a Keras model to TFLite: float32, one row at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.python.convert_phase import ConverterError

from compress.step import Made
from ftc.console import progress
from ftc.errors import RunError
from ftc.keras.model import import_tensorflow, load_network
from ftc.manifest import RunInstructions, TensorSpec

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset
    from ftc.manifest import Manifest

MODEL_FILE = "model.tflite"

Rows = Callable[[], Iterator[Sequence[np.ndarray]]]

_OPERATOR = re.compile(r"'(?:tf|tfl)\.(\w+)' op|^\s*tf\.(\w+)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ExportKerasTflite:
    """TFLite through TensorFlow's converter, from one traced function whose input and output keep their names."""

    name: ClassVar[str] = "export-keras-tflite"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "tflite"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        with progress("exporting to TFLite"):
            return write(source, draft, converted(source))


def converted(source: Artifact, configure: Callable[[Any], None] | None = None) -> bytes:
    """The content of a `.tflite` file for batches of one.

    :param configure: sets the converter's options; None for float32
    :raises RunError: if an operator has no counterpart in TFLite; the message names it and its layer
    """
    import_tensorflow()
    network = load_network(source.model_path)
    manifest = source.manifest
    function = network.function(manifest.output, _one(manifest.inputs[0]))
    holder = tf.Module()
    # a holder of the bare variables: the converter saves it with the function, and a whole Keras model takes twice
    # as long to save
    holder.kept = network.variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    if configure is not None:
        configure(converter)
    try:
        content: bytes = converter.convert()
    except (ConverterError, ValueError, RuntimeError) as error:
        raise RunError(_refused(source, str(error), function)) from error
    return content


def write(source: Artifact, draft: Path, content: bytes, notes: tuple[str, ...] = ()) -> Made:
    """Write a `.tflite` file into the draft, and describe it."""
    (draft / MODEL_FILE).write_bytes(content)
    manifest = source.manifest
    inputs, outputs = described(content, manifest)
    return Made(
        run=RunInstructions("litert", MODEL_FILE, {}),
        inputs=inputs,
        outputs=outputs,
        facts=replace(manifest.facts, size_bytes=len(content)),
        notes=notes,
    )


def described(content: bytes, manifest: Manifest) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs as the file itself has them, by the names of its signature."""
    model = schema.Model.GetRootAsModel(content, 0)
    graph, signature = model.Subgraphs(0), model.SignatureDefs(0)
    taken = [signature.Inputs(number) for number in range(signature.InputsLength())]
    given = [signature.Outputs(number) for number in range(signature.OutputsLength())]
    return _specs(graph, taken), _specs(graph, given)


def _specs(graph: Any, entries: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(entry.Name().decode(), graph.Tensors(entry.TensorIndex())) for entry in entries)


def _spec(name: str, tensor: Any) -> TensorSpec:
    shape = tuple(int(size) for size in tensor.ShapeAsNumpy())
    if tensor.Type() == schema.TensorType.FLOAT32:
        return TensorSpec(name, "float32", shape)
    quantization = tensor.Quantization()
    return TensorSpec(name, "int8", shape, float(quantization.Scale(0)), int(quantization.ZeroPoint(0)))


def _one(spec: TensorSpec) -> tuple[int, ...]:
    return (1, *(size for size in spec.shape[1:] if isinstance(size, int)))


def _refused(source: Artifact, words: str, function: Any) -> str:
    operators = sorted({next(filter(None, found)) for found in _OPERATOR.findall(words)})
    if not operators:
        first = next((line.strip() for line in words.splitlines() if line.strip()), "no reason given")
        return (
            f"{source.path} cannot be converted to TFLite: {first[:300]} Run again with -v for the converter's words."
        )
    places = [operation.name for operation in function.graph.get_operations() if operation.type in operators]
    return no_operator(source, "TFLite", operators, places)


def no_operator(source: Artifact, to: str, operators: Sequence[str], places: Sequence[str]) -> str:
    """What to say of operators that a format lacks.

    :param places: names of their nodes in the graph, which begin with those of the layers
    """
    shown = f" (at {', '.join(places[:4])}{', ...' if len(places) > 4 else ''})" if places else ""
    return (
        f"{source.path} cannot be converted to {to}: it has no operator for {', '.join(operators)}{shown}. "
        f"Replace the layers that use it by ones that {to} has, or take another format (--to)."
    )
