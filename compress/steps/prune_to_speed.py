"""Pruning transformer encoders until a runtime is so many times as fast on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from compress.chain import apply_all
from compress.choices import Runtime
from compress.pruning.encoder import Kept, layers_of
from compress.pruning.latency import Line, Trials
from compress.pruning.reconstruction import rebuild
from compress.pruning.result import made
from compress.pruning.rows import batches, split
from compress.pruning.scores import Scores, scores
from compress.pruning.selection import MULTIPLE, select
from compress.route import route
from compress.step import Made
from compress.steps.prune_encoder import cuts
from ftc.artifact import Artifact
from ftc.console import progress, say
from ftc.errors import InputError
from ftc.huggingface.model import load_model
from ftc.manifest import SpeedRecord
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.data import Dataset, Example
    from ftc.tasks.task import Task

_FORMATS = {
    Runtime.ONNXRUNTIME: "onnx",
    Runtime.LITERT: "tflite",
    Runtime.OPENVINO: "openvino",
    Runtime.TORCH: "huggingface",
}
"""What each runtime opens."""

_ATTEMPTS = 4
_NEAR = 0.03
"""A shape is taken that is measured so near to the target, or just above it."""


@dataclass(frozen=True, slots=True)
class PruneToSpeed:
    """Heads and neurons compete for the time that they take with one runtime, instead of for parameters.

    :param target_speedup: how many times as fast as the whole network, in float, on one row of the data's median length
    :param runtime: what runs it
    """

    target_speedup: float = 2.0
    runtime: Runtime = Runtime.ONNXRUNTIME

    name: ClassVar[str] = "prune-to-speed"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 1 < self.target_speedup < 1000:
            raise InputError(f"--target-speedup {self.target_speedup:g}: give how many times as fast, above 1.")

    @property
    def suffix(self) -> str:
        return f"{self.target_speedup:g}x-{self.runtime}"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        checked, deciding = split(data, self.name)
        model = load_model(source)
        layers = layers_of(model, source.path)
        before = [(layer.heads, layer.neurons) for layer in layers]
        rows = list(batches(source, deciding))
        with progress("scoring heads and neurons", len(deciding)) as advance:
            found = scores(model, layers, rows, advance)
        task = open_task(source)
        example, length = _median_example(task, deciding)
        with (
            tempfile.TemporaryDirectory(prefix="ftc-speed-") as place,
            progress(f"timing shapes with {self.runtime}", 4 + _ATTEMPTS) as advance,
        ):
            trials = Trials(source, self._exported, task.encode([example]), Path(place), advance)
            kept, speed = self._kept(trials, found, source, length)
        with progress("cutting, and solving for what is left", len(layers)) as advance:
            rebuild(model, layers, kept, rows, advance)
        result = made(model, source, draft, tuple(cuts(layers, before)), checked)
        assert result.pruning is not None, "it tells what was cut"
        return replace(result, pruning=replace(result.pruning, speed=speed))

    def _exported(self, shape: Artifact, place: Path) -> Artifact:
        steps = route(shape.manifest.format, _FORMATS[self.runtime])
        on_the_way = place.with_name(f"{place.name}-steps")
        return apply_all(steps, shape, on_the_way, {}, None, place, False) if steps else shape

    def _kept(
        self, trials: Trials, found: Sequence[Scores], source: Artifact, length: int
    ) -> tuple[tuple[Kept, ...], SpeedRecord]:
        """What stays, chosen by the line, tried, and chosen again for another target as long as it misses this one.

        :raises InputError: if not even the smallest network would be so fast
        """
        line, aim = trials.line(), self.target_speedup
        best: tuple[float, tuple[Kept, ...], SpeedRecord] | None = None
        for _ in range(_ATTEMPTS):
            try:
                kept = select(found, [line.cost] * len(found), 1 / aim - line.rest - len(found) * line.layer)
            except ValueError:
                if best is not None:
                    break
                raise _too_fast(self, line, source, found) from None
            measured = trials.speed_of(kept)
            say(f"  aimed at {aim:.2f}x: {measured:.2f}x")
            record = SpeedRecord(self.runtime, self.target_speedup, 1 / line.of(kept), measured, length)
            missed = abs(np.log(measured / self.target_speedup))
            if best is None or missed < best[0]:
                best = (missed, kept, record)
            if missed <= _NEAR:
                break
            aim *= self.target_speedup / measured
        assert best is not None, "the first attempt raises or gives one"
        return best[1], best[2]


def _too_fast(step: PruneToSpeed, line: Line, source: Artifact, found: Sequence[Scores]) -> InputError:
    least = line.rest + sum(line.layer + line.head + MULTIPLE * line.neuron for _ in found)
    return InputError(
        f"{source.path}: --target-speedup {step.target_speedup:g} is more than a head and eight neurons in each layer "
        f"would reach with {step.runtime}, about {1 / max(least, 1e-3):.1f}x. Ask for less, or drop --layers first."
    )


def _median_example(task: Task, data: Dataset) -> tuple[Example, int]:
    """An example of the median length, and that length."""
    lengths = [task.length(example) for example in data.examples]
    place = int(np.argsort(lengths, kind="stable")[len(lengths) // 2])
    return data.examples[place], lengths[place]
