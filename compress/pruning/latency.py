"""How fast networks of other shapes would be on this machine: shapes are tried with the runtime itself, before pruning.

The idea, and choosing by time in place of parameters, are ZipLM's (Kurtić, Frantar and Alistarh, 2023, section 3.2).
There a table holds the time of each size of a layer; here whole networks are timed, with what lies around the layers,
and a line is laid through them: what a layer, a head and a neuron cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compress.pruning.depth import keep_layers
from compress.pruning.encoder import Kept, cut, layers_of
from compress.pruning.selection import MULTIPLE, Cost
from ftc.artifact import Artifact
from ftc.console import hushed
from ftc.huggingface.files import carry
from ftc.huggingface.model import load_model, shapes_unlike_configured
from ftc.manifest import PruningRecord
from ftc.runtimes.session import open_session

if TYPE_CHECKING:
    from ftc.runtimes.session import Session, SessionOptions, Tensors

Form = Callable[[Artifact, Path], Artifact]
"""Makes of a checkpoint, in a directory, what a runtime is to run."""

_ROUNDS = 15
_BLOCK_S = 0.1
_REST_S = 0.02
"""Threads of one runtime spin for some milliseconds after a call; the other's would wait for them."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a network of a shape takes, as a part of what the whole one takes.

    :param rest: all that is outside of the layers
    :param layer: what of a layer is no head and no neuron; where all that was tried had as many layers, `rest` and
        `layer` are right together and not apart
    :param head: one head of any layer
    :param neuron: one neuron of any layer
    """

    rest: float
    layer: float
    head: float
    neuron: float

    @property
    def cost(self) -> Cost:
        """What one part costs, above nothing."""
        return Cost(self.head, self.neuron)

    def of(self, kept: Sequence[Kept]) -> float:
        """The time of a network that keeps these parts."""
        return self.rest + sum(
            self.layer + self.head * int(part.heads.sum()) + self.neuron * int(part.neurons.sum()) for part in kept
        )


class Trials:
    """Networks of other shapes than the source's, timed side by side with it."""

    def __init__(
        self,
        source: Artifact,
        form: Form,
        inputs: Tensors,
        place: Path,
        advance: Callable[[int], None],
        options: SessionOptions | None = None,
    ) -> None:
        """:param form: in which the shapes are timed

        :param inputs: of one example, as the task encodes it
        :param place: a directory for what is tried; the caller removes it
        :param options: how they are executed; None with every core of the CPU
        """
        self._source = source
        self._options = options
        self._form = form
        self._inputs = inputs
        self._place = place
        self._advance = advance
        self._tried = 0
        with hushed():
            self._reference = open_session(form(source, place / "whole"), options)
        model = load_model(source)
        self._shapes = [(layer.heads, layer.neurons) for layer in layers_of(model, source.path)]

    def line(self, depths: Sequence[int] = ()) -> Line:
        """The line through the whole network, and through others with fewer heads, fewer neurons, and few of both.

        :param depths: numbers of layers of networks that are tried besides
        """
        parts = [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5), (0.0, 0.0)]
        whole = len(self._shapes)
        tried = [self.uniform(*part, whole) for part in parts]
        tried += [self.uniform(*part, depth) for depth in depths for part in (parts[0], parts[-2])]
        times = np.array([1.0, *(1 / self.speed_of(kept) for kept in tried[1:])])
        counts = [
            [1, len(kept), sum(int(k.heads.sum()) for k in kept), sum(int(k.neurons.sum()) for k in kept)]
            for kept in tried
        ]
        rest, layer, head, neuron = np.linalg.lstsq(np.array(counts, float), times, rcond=None)[0]
        # noise may make what costs little cost less than nothing; then it is free, and stays
        least = 1e-6 / max(sum(heads + neurons for heads, neurons in self._shapes), 1)
        return Line(float(rest), float(layer), max(float(head), least), max(float(neuron), least))

    def speed_of(self, kept: Sequence[Kept]) -> float:
        """How many times as fast as the source a network is that keeps only these parts of its first layers."""
        self._tried += 1
        place = self._place / str(self._tried)
        with hushed():
            artifact = self._form(self._shaped(kept, place), self._place / f"{self._tried}-formed")
            ratio = _ratio(self._reference, open_session(artifact, self._options), self._inputs)
        self._advance(1)
        return ratio

    def uniform(self, heads: float, neurons: float, layers: int) -> tuple[Kept, ...]:
        """A shape of so many layers, each with these parts (0-1) of its heads and neurons, at least one of them."""

        def some(count: int, share: float, least: int) -> np.ndarray:
            return np.arange(count) < max(least, round(share * count))

        return tuple(Kept(some(h, heads, 1), some(n, neurons, min(MULTIPLE, n))) for h, n in self._shapes[:layers])

    def _shaped(self, kept: Sequence[Kept], place: Path) -> Artifact:
        model = load_model(self._source)
        layers = layers_of(model, self._source.path)
        keep_layers(model, layers, range(len(kept)))
        for layer, part in zip(layers, kept, strict=False):
            cut(layer, part)
        model.save_pretrained(place)
        carry(self._source.path, place)
        shapes = shapes_unlike_configured(model, self._source)
        record = PruningRecord(shapes, (), 0, 0, None, None)
        manifest = self._source.manifest
        lineage = (replace(manifest.lineage[-1], step=None),)
        return Artifact(place, replace(manifest, lineage=lineage, pruning=record, run=replace(manifest.run, entry=".")))


def _ratio(reference: Session, other: Session, inputs: Tensors) -> float:
    """The median over rounds of how many times as fast the other is; they take turns."""
    ratios = []
    for _ in range(_ROUNDS):
        ours, theirs = _block_ns(other, inputs), _block_ns(reference, inputs)
        ratios.append(theirs / ours)
    return float(np.median(ratios))


def _block_ns(session: Session, inputs: Tensors) -> float:
    time.sleep(_REST_S)
    session.run(inputs)
    times = []
    end = time.perf_counter() + _BLOCK_S
    while time.perf_counter() < end:
        began = time.perf_counter_ns()
        session.run(inputs)
        times.append(time.perf_counter_ns() - began)
    return float(np.median(times))
