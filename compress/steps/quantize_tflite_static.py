"""Static INT8 of a TFLite file: weights and activations, with ranges measured on calibration data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from ai_edge_quantizer import recipe

from compress.convolutional import is_convolutional
from compress.step import Made
from compress.tflite_quantizer import calibrated, left_in_float, on, quantized
from ftc.errors import InputError
from ftc.runtimes.buckets import Buckets
from ftc.runtimes.litert import SIGNATURE, signature_of
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset, Example
    from ftc.tasks.task import Task

Row = Mapping[str, np.ndarray]

TRANSFORMER_OPERATIONS = ("FULLY_CONNECTED",)
"""Weights; attention, normalization and GELU stay in float as in the ONNX form, and the embedding tables are stored
in INT8 and read as floats."""

ROWS_OF_A_LENGTH = 64
"""Calibration texts that each signature of a text model is shown."""


@dataclass(frozen=True, slots=True)
class QuantizeTfliteStatic:
    """:param operations: the kinds of operations that are quantized, by their names in the file format
    :param integer_io: whether inputs and outputs are INT8 too, as accelerators without floats need it
    :param exclude: regular expressions for the tensors whose operations stay in float
    :param batch_size: calibration rows in memory at a time
    """

    operations: tuple[str, ...] = ("*",)
    integer_io: bool = False
    exclude: tuple[str, ...] = ()
    batch_size: int = 16

    name: ClassVar[str] = "quantize-tflite-static"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 2

    @classmethod
    def for_model(cls, source: Artifact, data: Dataset | None, **given: Any) -> Self:
        """The step with the operations that suit a model: all of a convolutional one."""
        operations = ("*",) if is_convolutional(source) else TRANSFORMER_OPERATIONS
        return cls(operations=operations, **given)

    @property
    def suffix(self) -> str:
        return "static-int8" + ("-io" if self.integer_io else "") + ("-mixed" if self.exclude else "")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        if data is None:
            raise InputError(f"{self.name} needs data to calibrate on.")
        rules = on(recipe.static_wi8_ai8(), *self.operations)
        if "*" not in self.operations:
            rules += on(recipe.weight_only_wi8_afp32(), "EMBEDDING_LOOKUP")
        if not self.integer_io:
            rules += left_in_float([".*"], "INPUT") + left_in_float([".*"], "OUTPUT")
        rules += left_in_float(self.exclude)
        ranges = calibrated(source.model_path, rules, self._batches(source, data))
        return quantized(source, draft, rules, ranges)

    def _batches(self, source: Artifact, data: Dataset) -> dict[str, Sequence[_Rows]]:
        task, buckets = open_task(source), Buckets.of(source.manifest)
        if buckets is None:
            return {SIGNATURE: self._parts(source, task, data.examples, None)}
        # every signature has tensors of its own: each is shown the texts that fit it, its own lengths first
        parts = {}
        for length in buckets.lengths:
            fitting = sorted(
                (example for example in data.examples if task.length(example) <= length),
                key=task.length,
                reverse=True,
            )
            parts[signature_of(length)] = self._parts(
                source, task, fitting[:ROWS_OF_A_LENGTH], Buckets((length,), buckets.preprocessing)
            )
        return parts

    def _parts(
        self, source: Artifact, task: Task, examples: Sequence[Example], buckets: Buckets | None
    ) -> Sequence[_Rows]:
        dtypes = {spec.name: spec.dtype for spec in source.manifest.inputs}
        starts = range(0, len(examples), self.batch_size)
        return [_Rows(task, dtypes, examples[start : start + self.batch_size], buckets) for start in starts]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Calibration examples that become a signature's inputs when they are asked for."""

    task: Task
    dtypes: Mapping[str, str]
    examples: Sequence[Example]
    buckets: Buckets | None

    def __iter__(self) -> Iterator[Row]:
        for example in self.examples:
            row = self.task.encode([example])
            fitted = row if self.buckets is None else self.buckets.fitted(row)
            yield {name: fitted[name].astype(dtype) for name, dtype in self.dtypes.items()}
