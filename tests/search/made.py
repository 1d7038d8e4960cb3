"""Searches made by hand: a checkpoint and candidates without weights, and a journal of what is known of each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.screening import Verdict
from ftc.artifact import Artifact, draft, seal
from ftc.data import Columns, Dataset
from ftc.declared import Declared
from ftc.manifest import Ancestor, Facts, Manifest, RunInstructions, StepRecord, TensorSpec
from ftc.preprocessing import TextPreprocessing
from ftc.search import plan
from ftc.search.bounds import Bounds
from ftc.search.journal import Built, Journal, Judged, Timed
from ftc.search.judging import SLACK_POINTS
from ftc.search.links import Chain, digest, key, link
from ftc.search.parts import Parts, Source
from ftc.search.prepare import Planned
from ftc.search.request import Request
from ftc.search.search import Search
from ftc.search.store import Store
from ftc.search.workshop import Done, Order, Workshop

DYNAMIC: Chain = (link("export", to="onnx"), link("quantize", to="onnx", mode="dynamic"))
STATIC: Chain = (link("export", to="onnx"), link("quantize", to="onnx", mode="static"))


def pruned(keep: float, form: Chain = DYNAMIC) -> Chain:
    """A smaller network in a form."""
    return (link("prune", keep=keep), *form)


def root(path: Path) -> Artifact:
    """A checkpoint that nothing can open."""
    lineage = (Ancestor("id-of-root", "tiny", "huggingface", None),)
    manifest = Manifest(
        id="id-of-root",
        name="tiny",
        format="huggingface",
        task="text-classification",
        labels=("negative", "positive"),
        preprocessing=TextPreprocessing(64, 0, 0, "right", "right", ("input_ids",)),
        lineage=lineage,
        root_path=str(path),
        inputs=(TensorSpec("input_ids", "int64", ("batch", "length")),),
        outputs=(TensorSpec("logits", "float32", ("batch", 2)),),
        run=RunInstructions("torch", ".", {}),
        facts=Facts(10, 1000, "a text", 1000, convolution_share=0.0),
    )
    return Artifact(path, manifest)


def sealed(place: Path, of: Artifact, name: str, size_bytes: int = 500, format: str = "onnx") -> Artifact:
    """An artifact that holds one empty file."""
    made = f"id-of-{digest(name)}"
    ancestor = Ancestor(made, digest(name), format, StepRecord("export-onnx", {}))
    manifest = replace(
        of.manifest,
        id=made,
        name=digest(name),
        format=format,
        lineage=(*of.manifest.lineage, ancestor),
        run=RunInstructions("onnxruntime", "model.onnx", {}),
        facts=replace(of.manifest.facts, size_bytes=size_bytes),
    )
    with draft(place) as directory:
        (directory / "model.onnx").write_bytes(b"")
        return seal(directory, place, manifest)


class Idle:
    """A workshop that writes down what it is asked for, and seals empty files."""

    def __init__(self, of: Artifact, slots: int = 1) -> None:
        self.slots = slots
        self.worked: list[str] = []
        self.places: list[str] = []
        self._of = of

    def do(self, orders: Sequence[Order]) -> Iterator[Done]:
        """See `Workshop.do`."""
        for order in orders:
            self.worked.append(order.key)
            self.places.append(order.request["place"])
            made = sealed(Path(order.request["place"]), self._of, order.key)
            yield Done(order, {"path": str(made.path), "id": made.manifest.id}, None, 1.0)


def rows(count: int) -> Dataset:
    """Texts, every other of them positive."""
    texts = tuple(f"row {number}" for number in range(count))
    return Dataset(texts, np.arange(count) % 2, "rows.tsv", "f00d", Columns(), ("negative", "positive"))


def search(
    place: Path,
    request: Request,
    first: Sequence[Chain],
    *,
    store: Store | None = None,
    workshop: Workshop | None = None,
    **change: Any,
) -> Search:
    """A search with an empty journal.

    :param change: of what is planned
    """
    checkpoint = root(place / "checkpoint")
    planned = Planned(
        root=checkpoint,
        declared=Declared(),
        request=request,
        source=Source("rows.tsv", Columns()),
        parts=Parts(rows(200), rows(100), None),
        final=rows(100),
        chains=(plan.REFERENCE, *first),
        skipped=(),
        is_fixed=False,
        bounds=Bounds(),
        artifacts=place,
        search="made",
    )
    known = store or Store(Journal(place / "journal.jsonl"), checkpoint)
    return Search(replace(planned, **change), known, workshop or Idle(checkpoint))


def know_twin(one: Search, chain: Chain, of: Chain) -> None:
    """Put into a search's journal that a chain was built, and made what another had made."""
    name, made = key(chain), one.store.artifact(of)
    assert made is not None
    place = one.planned.place / digest(name)
    shutil.copytree(made.path, place)
    one.store.journal.add(Built(name, str(place), made.manifest.id, 1.0, 1.0))


def know_stage(one: Search, chain: Chain, points: float) -> None:
    """Put into a search's journal that a chain made another checkpoint, which was judged."""
    name = key(chain)
    built = sealed(one.planned.place / digest(name), one.planned.root, name, format="huggingface")
    one.store.journal.add(Built(name, str(built.path), built.manifest.id, 1.0, 1.0))
    one.store.journal.add(Judged(name, 100, points, points - 2, points + 2, 0.9 - points / 100, "open", 1.0, 1.0))


def know(
    one: Search,
    chain: Chain,
    ratio: float | None,
    points: float = 0.0,
    *,
    size_bytes: int = 500,
    p50_ns: float = 1e6,
    at: float = 1.0,
    spread_points: float = 2.0,
) -> None:
    """Put into a search's journal that a chain was built, judged and timed."""
    name, score = key(chain), 0.9 - points / 100
    made = sealed(one.planned.place / digest(name), one.planned.root, name, size_bytes)
    one.store.journal.add(Built(name, str(made.path), made.manifest.id, 1.0, at))
    limit = one.judging.allowed_points + SLACK_POINTS
    low, high = points - spread_points, points + spread_points
    verdict: Verdict = "hopeless" if low > limit else "inside" if high <= limit else "open"
    one.store.journal.add(Judged(name, 100, points, low, high, score, verdict, 1.0, at))
    if ratio is not None:
        one.store.journal.add(Timed(name, ratio, ratio - 0.1, ratio + 0.1, p50_ns, 10**8, 1.0, at))
