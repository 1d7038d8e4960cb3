"""Static INT8 of an ONNX file: weights and activations, with ranges measured on calibration data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from compress.calibration import Batch, calibrate, passes
from compress.choices import Method
from compress.convolutional import is_convolutional
from compress.onnx_nodes import has_grouped_convolutions
from compress.processors import UNSAFE_8_BIT
from compress.static_int8 import quantize_static_int8
from compress.step import Made
from compress.steps.export_onnx import MODEL_FILE
from ftc.console import progress
from ftc.errors import InputError
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset
    from ftc.tasks.task import Task

CONVOLUTIONAL_OPERATORS = ("Conv", "Gemm", "Add", "Clip", "Relu", "MaxPool", "GlobalAveragePool")
"""Everything between two convolutions, so that activations stay in INT8 from one to the next."""

TRANSFORMER_OPERATORS = ("MatMul", "Gather")
"""Weights and the embedding table. Attention, Add, LayerNormalization, GELU and Softmax stay in float: on a
6-layer BERT quantizing them too cost 1 to 3 points and made it no faster."""


@dataclass(frozen=True, slots=True)
class QuantizeOnnxStatic:
    """:param method: how ranges are chosen from what was seen: minmax, percentile or entropy
    :param percentile: share of the values kept, in percent; for the method of that name
    :param operators: the kinds of operators that are quantized
    :param per_channel: one scale for each output channel of a weight instead of one for the whole
    :param reduce_range: 7-bit weights, which give the same answers on processors without VNNI
    :param exclude: names of graph nodes to leave in float
    :param batch_size: rows that are calibrated on at a time
    """

    method: Method = Method.MINMAX
    percentile: float = 99.999
    operators: tuple[str, ...] = TRANSFORMER_OPERATORS
    per_channel: bool = True
    reduce_range: bool = True
    exclude: tuple[str, ...] = ()
    batch_size: int = 8

    name: ClassVar[str] = "quantize-onnx-static"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @classmethod
    def for_model(cls, source: Artifact, data: Dataset | None, **given: Any) -> Self:
        """The step with the operators and the weight range that suit an ONNX artifact.

        Depthwise convolutions have few weights for each channel and cannot spare the eighth bit: a MobileNetV2 fell
        from 0.895 to 0.763 with 7 bits and kept 0.895 with 8, a ResNet lost 0.2 points. So they keep it, and the
        manifest says which processors that needs.
        """
        convolutional = is_convolutional(source)
        return cls(
            operators=CONVOLUTIONAL_OPERATORS if convolutional else TRANSFORMER_OPERATORS,
            reduce_range=not (convolutional and has_grouped_convolutions(source.model_path)),
            **given,
        )

    @property
    def suffix(self) -> str:
        chosen = "" if self.method is Method.MINMAX else f"-{self.method}"
        return f"static-int8{chosen}" + ("-mixed" if self.exclude else "")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        if data is None:
            raise InputError(f"{self.name} needs data to calibrate on.")
        batches = _Batches(open_task(source), data, self.batch_size)
        with progress("measuring ranges on the calibration data", len(data) * passes(self.method)) as advance:
            ranges = calibrate(
                source.model_path,
                batches,
                method=self.method,
                op_types=self.operators,
                percentile=self.percentile,
                advance=advance,
            )
        with progress("writing the INT8 model"):
            quantize_static_int8(
                source.model_path,
                draft / MODEL_FILE,
                ranges,
                op_types=self.operators,
                per_channel=self.per_channel,
                reduce_range=self.reduce_range,
                exclude=self.exclude,
            )
        size_bytes = sum(file.stat().st_size for file in draft.glob(f"{MODEL_FILE}*"))
        return Made(
            run=replace(source.manifest.run, requirements=() if self.reduce_range else (UNSAFE_8_BIT,)),
            inputs=source.manifest.inputs,
            outputs=source.manifest.outputs,
            facts=replace(source.manifest.facts, size_bytes=size_bytes),
        )


class _Batches:
    """Encoded calibration batches of rows of like length, one at a time, as often as they are asked for."""

    def __init__(self, task: Task, data: Dataset, size: int) -> None:
        self._task, self._data, self._size = task, data, size
        # like lengths together: padding would count as data
        self._order = sorted(range(len(data)), key=lambda row: task.length(data.examples[row]))

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._order), self._size):
            rows = self._order[start : start + self._size]
            yield self._task.encode([self._data.examples[row] for row in rows])
