"""Which pruning is how fast: by a latency table that is timed here, or by operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from compress.convolutional import has_attention
from ftc.search import job, plan
from ftc.search.journal import Decided
from ftc.search.links import Chain, Link, key, link
from ftc.search.request import Effort, Objective, Target
from ftc.search.store import TABLE
from ftc.search.ways import soon_open
from ftc.search.workshop import Order
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.search.search import Search

LEAST_KEEP = 0.12
"""Of the layers' parameters: what is left of less has answered at random in all that was tried."""

_ROWS = 32
"""Of a batch whose layers are timed on a GPU for throughput: one row would leave most of it idle."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A pruning that may be built.

    :param speedup: how many times as fast as the unpruned network it should be in the form that was fastest
    :param depth: the part (0-1) of the layers that it keeps
    """

    chain: Chain
    speedup: float
    depth: float


@dataclass(frozen=True, slots=True)
class Table:
    """What a network's layers and their parts take in one form, as parts of the whole; see `compress.pruning.latency`.

    :param shapes: heads and neurons of each layer
    """

    rest: float
    layer: float
    head: float
    neuron: float
    shapes: tuple[tuple[int, int], ...]

    def speedup(self, layers: int, keep: float) -> float:
        """How many times as fast as the whole a network is with so many layers, and this part (0-1) of each."""
        heads, neurons = self._each()
        return 1 / max(1e-3, self.rest + layers * (self.layer + keep * (heads * self.head + neurons * self.neuron)))

    def keep(self, layers: int, speedup: float) -> float:
        """What part of each of so many layers may stay for a network to be so fast; below 0 where even none may."""
        heads, neurons = self._each()
        free = 1 / speedup - self.rest - layers * self.layer
        return free / (layers * (heads * self.head + neurons * self.neuron))

    def shape(self, speedup: float, depth: float) -> Shape | None:
        """See `Speeds.shape`; fewer layers, left whole, may be faster than was asked for."""
        whole = len(self.shapes)
        layers = max(1, round(depth * whole))
        keep = round(min(1.0, self.keep(layers, speedup)), 2)
        if keep < LEAST_KEEP or (keep == 1.0 and layers == whole):
            return None
        cuts: list[Link] = [link("prune", layers=layers)] if layers < whole else []
        chain = (*cuts, link("prune", keep=keep)) if keep < 1.0 else tuple(cuts)
        return Shape(chain, self.speedup(layers, keep), depth)

    def _each(self) -> tuple[float, float]:
        heads, neurons = zip(*self.shapes, strict=True)
        return sum(heads) / len(heads), sum(neurons) / len(neurons)


@dataclass(frozen=True, slots=True)
class ByOperations:
    """As if operations alone took time: what is tried is measured soon afterwards.

    For convolutional networks, and in a quick search, where a table would take the time that building takes. On a GPU,
    which one row leaves mostly idle however narrow the layers are, it promises too much: there a quick search has a
    table, too.
    """

    def shape(self, speedup: float, depth: float) -> Shape | None:
        """See `Speeds.shape`; layers are never dropped."""
        keep = round(1 / speedup, 2)
        is_possible = depth == 1.0 and LEAST_KEEP <= keep < 1.0
        return Shape((link("prune", keep=keep),), 1 / keep, depth) if is_possible else None


class Speeds(Protocol):
    """What says which pruning is how fast."""

    def shape(self, speedup: float, depth: float) -> Shape | None:
        """The pruning that should be so many times as fast as the whole network, with this part (0-1) of its layers.

        None where there is no such pruning.
        """
        ...


def speeds_of(search: Search, form: Chain) -> Speeds | None:
    """What says how fast shapes of the search's checkpoint are in a form; None where that could not be found out.

    Networks with attention whose configuration counts no layers, such as MobileViT, are tried by their operations.
    """
    root, request = search.planned.root, search.planned.request
    is_in_haste = request.effort is Effort.QUICK and request.target is not Target.CUDA
    if is_in_haste or not has_attention(root) or _layers_of(root) is None:
        return ByOperations()
    known = search.store.decided(TABLE)
    if known is None and search.store.failed(TABLE) is None:
        known = _timed_table(search, form)
    if known is None:
        return None
    return Table(
        rest=known.numbers["rest"],
        layer=known.numbers["layer"],
        head=known.numbers["head"],
        neuron=known.numbers["neuron"],
        shapes=tuple((int(heads), int(neurons)) for heads, neurons in map(str.split, known.choice)),
    )


def _timed_table(search: Search, form: Chain) -> Decided | None:
    """The table as it is timed now; None if that failed, or there is no time to use it. Either is written down."""
    if not search.has_time(TABLE, search.left_s() > 0):
        return None
    request, timed = search.planned.request, search.store.timed(key(form))
    task, layers = open_task(search.planned.root), _layers_of(search.planned.root)
    assert layers is not None, "speeds of others are by operations"
    lengths = sorted(map(task.length, search.planned.parts.judging.head(500).examples))
    order = job.table(
        f"{search.planned.root.manifest.name}-table",
        search.planned.root,
        search.planned.declared,
        form,
        max(8, 4 * round(lengths[len(lengths) // 2] / 4)),
        tuple(depth for depth in plan.depths(layers, request) if depth < layers),
        search.planned.source,
        way=str(soon_open(timed.ways[0])) if timed is not None and timed.ways else None,
        rows=_ROWS if request.target is Target.CUDA and request.objective is Objective.THROUGHPUT else 1,
    )
    with search.building.reminding(f"timing the layers of {key(form)}"):
        (done,) = search.workshop.do([Order(TABLE, order, max(60.0, search.left_s()))])
    if done.result is None:
        search.fail(TABLE, done.failure or "failed without a word", done.seconds)
        return None
    told = done.result
    numbers = {name: float(told[name]) for name in ("rest", "layer", "head", "neuron")}
    shapes = tuple(f"{heads} {neurons}" for heads, neurons in told["shapes"])
    search.tell(f"latency table of {key(form)} ({done.seconds:.0f} s)")
    search.store.add(lambda at: Decided(TABLE, shapes, key(form), at, {**numbers, "seconds": done.seconds}))
    return search.store.decided(TABLE)


def _layers_of(root: Artifact) -> int | None:
    """As its configuration says; None where that has no such number."""
    from ftc.huggingface.model import config_of

    layers = getattr(config_of(root), "num_hidden_layers", None)
    return layers if isinstance(layers, int) else None
