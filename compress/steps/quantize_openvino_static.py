"""Static INT8 of an OpenVINO graph with NNCF: weights and activations, with ranges measured on calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import nncf
import numpy as np
import openvino as ov
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

from compress import openvino_ir
from compress.choices import Preset
from compress.convolutional import is_convolutional
from compress.processors import UNSAFE_8_BIT
from compress.step import Made
from ftc.console import progress
from ftc.errors import InputError, RunError
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset
    from ftc.tasks.task import Task

Batch = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class QuantizeOpenvinoStatic:
    """:param preset: how activations' ranges are laid
    :param transformer: quantize as suits transformers, with SmoothQuant; else as suits convolutions
    :param reduce_range: 7-bit weights, which give the same answers on processors without VNNI
    :param exclude: names of graph nodes to leave in float
    :param batch_size: rows that are calibrated on at a time
    :param max_drop_points: points of accuracy that may be lost on every second row, which is then not calibrated on;
        layers are put back to float until it holds. None to quantize without looking.
    """

    preset: Preset = Preset.MIXED
    transformer: bool = True
    reduce_range: bool = True
    exclude: tuple[str, ...] = ()
    batch_size: int = 8
    max_drop_points: float | None = None

    name: ClassVar[str] = "quantize-openvino-static"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @classmethod
    def for_model(cls, source: Artifact, data: Dataset | None, **given: Any) -> Self:
        """The step for a transformer or a convolutional network.

        Depthwise convolutions cannot spare the eighth bit, see `QuantizeOnnxStatic`.
        """
        convolutional = is_convolutional(source)
        fitting = {
            "transformer": not convolutional,
            "reduce_range": not (convolutional and _has_grouped_convolutions(openvino_ir.read(source))),
        }
        return cls(**{**fitting, **given})

    @property
    def suffix(self) -> str:
        budget = "" if self.max_drop_points is None else f"-drop{self.max_drop_points:g}"
        return f"static-int8{budget}" + ("-mixed" if self.exclude else "")

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        if data is None:
            raise InputError(f"{self.name} needs data to calibrate on.")
        graph = openvino_ir.read(source)
        self._check_excluded(graph, source.model_path)
        options: dict[str, Any] = {
            "preset": nncf.QuantizationPreset(str(self.preset)),
            "target_device": nncf.TargetDevice.CPU,
            "model_type": nncf.ModelType.TRANSFORMER if self.transformer else None,
            "ignored_scope": nncf.IgnoredScope(names=list(self.exclude)) if self.exclude else None,
        }
        advanced = AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if self.reduce_range else OverflowFix.DISABLE
        )
        task = open_task(source)
        try:
            if self.max_drop_points is None:
                batches = _Batches(task, data, range(len(data)), self.batch_size)
                with progress("quantizing to INT8 on the calibration data"):
                    small = nncf.quantize(
                        graph,
                        nncf.Dataset(batches, _inputs),
                        subset_size=len(batches),
                        advanced_parameters=advanced,
                        **options,
                    )
            else:
                small = self._within_drop(graph, task, data, source, advanced, options)
        except (nncf.ValidationError, nncf.InternalError, nncf.UnsupportedModelError, RuntimeError) as error:
            raise RunError(
                f"{source.model_path}: NNCF cannot quantize it: {str(error)[:300]} Run again with -v for its own words."
            ) from error
        openvino_ir.forget_how(small)
        size_bytes = openvino_ir.write(small, draft)
        requirements = source.manifest.run.requirements
        if not self.reduce_range:
            requirements = (*requirements, UNSAFE_8_BIT)
        return Made(
            run=replace(source.manifest.run, requirements=requirements),
            inputs=source.manifest.inputs,
            outputs=source.manifest.outputs,
            facts=replace(source.manifest.facts, size_bytes=size_bytes),
        )

    def _within_drop(
        self,
        graph: ov.Model,
        task: Task,
        data: Dataset,
        source: Artifact,
        advanced: AdvancedQuantizationParameters,
        options: Mapping[str, Any],
    ) -> ov.Model:
        if data.labels is None:
            raise InputError(
                f"{data.source} has no labels: --max-drop-points needs them to see how much accuracy is lost. "
                "Name the column with --label-column, or leave the option out."
            )
        if len(data) < 2:
            raise InputError("--max-drop-points needs at least two rows: every second one is held out.")
        batches = _Batches(task, data, range(0, len(data), 2), self.batch_size)
        held_out = _Batches(task, data, range(1, len(data), 2), 1)
        with progress(f"quantizing to INT8, at most {self.max_drop_points:g} points lost on {len(held_out)} rows"):
            return nncf.quantize_with_accuracy_control(
                graph,
                nncf.Dataset(batches, _inputs),
                nncf.Dataset(held_out, _inputs),
                _accuracy(task, source.manifest.output),
                max_drop=(self.max_drop_points or 0.0) / 100,
                drop_type=nncf.DropType.ABSOLUTE,
                subset_size=len(batches),
                advanced_quantization_parameters=advanced,
                **options,
            )

    def _check_excluded(self, graph: ov.Model, where: Path) -> None:
        names = [node.get_friendly_name() for node in graph.get_ordered_ops() if node.get_type_name() != "Constant"]
        unknown = sorted(set(self.exclude) - set(names))
        if unknown:
            raise InputError(
                f"{where} has no node named {', '.join(unknown)}; nothing was excluded. Its nodes are named like "
                f"{', '.join(names[:5])}: list them with openvino.Core().read_model(...).get_ordered_ops()."
            )


def _has_grouped_convolutions(graph: ov.Model) -> bool:
    return any(node.get_type_name() == "GroupConvolution" for node in graph.get_ordered_ops())


Item = tuple[dict[str, np.ndarray], "np.ndarray | None"]


class _Batches:
    """Encoded batches with their labels, of rows of like length, one at a time, as often as they are asked for."""

    def __init__(self, task: Task, data: Dataset, rows: Iterable[int], size: int) -> None:
        self._task, self._data, self._size = task, data, size
        # like lengths together: padding would count as data
        self._order = sorted(rows, key=lambda row: task.length(data.examples[row]))

    def __len__(self) -> int:
        return -(-len(self._order) // self._size)

    def __iter__(self) -> Iterator[Item]:
        for start in range(0, len(self._order), self._size):
            yield self._batch(self._order[start : start + self._size])

    def __getitem__(self, number: int) -> Item:
        return self._batch(self._order[number * self._size : (number + 1) * self._size])

    def _batch(self, rows: Sequence[int]) -> Item:
        labels = None if self._data.labels is None else self._data.labels[list(rows)]
        return self._task.encode([self._data.examples[row] for row in rows]), labels


def _inputs(item: Item) -> dict[str, np.ndarray]:
    return item[0]


def _accuracy(task: Task, output: str) -> Callable[[ov.CompiledModel, Iterable[Item]], tuple[float, list[float]]]:
    def accuracy(compiled: ov.CompiledModel, items: Iterable[Item]) -> tuple[float, list[float]]:
        right = []
        for inputs, labels in items:
            answers = {output: compiled(inputs)[compiled.output(output)]}
            right += [float(hit) for hit in task.chosen(answers) == labels]
        return sum(right) / len(right), right

    return accuracy
