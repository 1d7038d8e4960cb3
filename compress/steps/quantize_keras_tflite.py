"""Keras models to smaller TFLite files: half-precision weights, dynamic INT8, and full INT8 with measured ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from compress.step import Made
from compress.steps.export_keras_tflite import converted, write
from ftc.console import progress
from ftc.errors import InputError, RunError
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset
    from ftc.tasks.task import Task


@dataclass(frozen=True, slots=True)
class QuantizeKerasFloat16:
    """Weights in 16 bits, half the size; what is computed with them stays in float32 on a CPU."""

    name: ClassVar[str] = "quantize-keras-float16"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "tflite-float16"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        def configure(converter: Any) -> None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]

        with progress("converting to TFLite with float16 weights"):
            return write(source, draft, converted(source, configure))


@dataclass(frozen=True, slots=True)
class QuantizeKerasDynamic:
    """INT8 weights; activations are quantized as they come, by kernels that know how."""

    name: ClassVar[str] = "quantize-keras-dynamic"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "tflite-dynamic-int8"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        def configure(converter: Any) -> None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]

        with progress("converting to TFLite with INT8 weights"):
            return write(source, draft, converted(source, configure))


@dataclass(frozen=True, slots=True)
class QuantizeKerasStatic:
    """INT8 weights, one scale for each output channel, and INT8 activations, with ranges measured on data.

    :param integer_io: input and output are INT8 too, and an operator without an INT8 kernel is an error instead of
        staying in float: what accelerators and microcontrollers without floating point need
    """

    integer_io: bool = False

    name: ClassVar[str] = "quantize-keras-static"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "tflite-static-int8" + ("-integer-io" if self.integer_io else "")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        if data is None:
            raise InputError(f"{self.name} needs data to calibrate on.")
        rows = data
        with progress("measuring ranges and converting to INT8 TFLite", len(rows)) as advance:

            def configure(converter: Any) -> None:
                integers = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: _streamed(open_task(source), rows, advance)
                converter.target_spec.supported_ops = (
                    integers if self.integer_io else [*integers, tf.lite.OpsSet.TFLITE_BUILTINS]
                )
                if self.integer_io:
                    converter.inference_input_type = converter.inference_output_type = tf.int8

            content = converted(source, configure)
        left = float_operators(content)
        if self.integer_io and left:
            raise RunError(
                f"{source.path}: {', '.join(left)} stayed in float, so the file would not run on integers alone. "
                "Leave out --integer-io, or replace these layers."
            )
        notes = (f"in float32, since TFLite has no INT8 kernel for them: {', '.join(left)}",) if left else ()
        return write(source, draft, content, notes)


def _streamed(task: Task, data: Dataset, advance: Callable[[int], None]) -> Iterator[Sequence[np.ndarray]]:
    """Rows of the data as the network takes them, one at a time, so that memory does not grow with their number."""
    for example in data.examples:
        yield list(task.encode([example]).values())
        advance(1)


def float_operators(content: bytes) -> tuple[str, ...]:
    """Names of the operators of a `.tflite` file that compute in float32."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    model = schema.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    found = set()
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        results = [graph.Tensors(index).Type() for index in operator.OutputsAsNumpy()]
        if kind != "DEQUANTIZE" and schema.TensorType.FLOAT32 in results:
            found.add(kind)
    return tuple(sorted(found))
