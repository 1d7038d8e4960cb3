"""One piece of a search's work, in a process of its own: `python -m ftc.search.job` reads an order and answers it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc.artifact import Artifact, open_artifact
from ftc.checkpoint import open_any
from ftc.console import caution
from ftc.declared import Declared
from ftc.errors import FtcError, InputError
from ftc.quiet import quiet_libraries
from ftc.search.links import Chain, Link, read_back
from ftc.search.parts import Source
from ftc.temporary import own_temporary_directory

if TYPE_CHECKING:
    from ftc.data import Dataset


class Changed(InputError):
    """What is searched is no longer what it was when the search began."""


def reopened(path: Path, declared: Declared, root_id: str) -> Artifact:
    """The checkpoint, if it is still the one that is searched.

    What came of two checkpoints cannot be compared, and what a search has found would be said of the wrong one.

    :raises Changed: if it is another, or cannot be opened
    """
    try:
        root = open_any(path, declared)
    except InputError as error:
        raise Changed(f"the checkpoint changed while it was searched: {error} Mend that and start again.") from error
    if root.manifest.id != root_id:
        raise Changed(f"the checkpoint {path} changed while it was searched: start again.")
    return root


def order(
    name: str,
    root: Artifact,
    declared: Declared,
    source: Artifact,
    link: Link,
    data: Source,
    place: Path,
) -> dict[str, Any]:
    """What a process needs to make one link.

    :param name: of the log
    :param place: where the result goes
    """
    asked: dict[str, Any] = {
        "do": "link",
        "link": [link.verb, list(link.options)],
        "place": str(place),
    }
    return {**asked, **_common(name, root, declared, source, data)}


def table(
    name: str,
    root: Artifact,
    declared: Declared,
    form: Chain,
    length: int,
    depths: tuple[int, ...],
    data: Source,
    way: str | None = None,
    rows: int = 1,
) -> dict[str, Any]:
    """What a process needs to time other shapes of a transformer in one form.

    :param length: tokens of the example that is timed
    :param way: of a GPU, on which they are timed; None on the CPU
    :param rows: of a call, all of them this example
    """
    last = dict(form[-1].options) if form else {}
    asked = {"do": "table", "to": last.get("to"), "mode": last.get("mode"), "way": way}
    sizes: dict[str, Any] = {"length": length, "depths": list(depths), "rows": rows}
    return {**asked, **sizes, **_common(name, root, declared, root, data)}


def _common(name: str, root: Artifact, declared: Declared, source: Artifact, data: Source) -> dict[str, Any]:
    return {
        "name": name,
        "root": str(root.path),
        "root_id": root.manifest.id,
        "source": str(source.path),
        "declared": {
            "task": declared.task,
            "labels": declared.labels,
            "processor": declared.processor,
            "tokenizer": str(declared.tokenizer) if declared.tokenizer is not None else None,
        },
        "data": data.told(),
    }


def main() -> None:
    """Answer one order on stdout; whatever else prints goes to stderr, which is the log."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    told: dict[str, Any]
    try:
        with own_temporary_directory(), quiet_libraries():
            told = {"made": _table(request) if request["do"] == "table" else _linked(request)}
    except Changed as error:
        told = {"changed": str(error)}
    except FtcError as error:
        told = {"failed": str(error)}
    print(json.dumps(told), file=answers, flush=True)


def _end_with_parent() -> None:
    """The pipe closes when the search dies, however it does; nobody waits for the result then."""
    sys.stdin.read()
    os._exit(1)


def _opened(request: dict[str, Any]) -> tuple[Artifact, Artifact, Dataset]:
    told = request["declared"]
    declared = Declared(
        told["task"],
        tuple(told["labels"]) if told["labels"] is not None else None,
        told["processor"],
        Path(told["tokenizer"]) if told["tokenizer"] is not None else None,
    )
    root = reopened(Path(request["root"]), declared, request["root_id"])
    try:
        rows = Source.of(request["data"]).parts(root).tuning
    except InputError as error:
        raise Changed(f"the rows changed while they were searched with: {error} Start again.") from error
    source = root if request["source"] == request["root"] else open_any(Path(request["source"]))
    return root, source, rows


def _linked(request: dict[str, Any]) -> dict[str, Any]:
    _, source, data = _opened(request)
    verb, options = request["link"]
    place = Path(request["place"])
    _clear_damaged(place)
    made = _VERBS[verb](source, data, place, read_back(verb, options))
    return {"path": str(made.path), "id": made.manifest.id}


def _clear_damaged(place: Path) -> None:
    """Remove what stands there and is no whole artifact: what would be made there again is refused otherwise.

    The name holds a digest of what it is made of, so nothing but a search has put it there.
    """
    if place.exists():
        try:
            open_artifact(place, verify=True)
        except InputError as error:
            caution(f"{error} Removed, and made again.")
            shutil.rmtree(place)


def _export(source: Artifact, data: Dataset, place: Path, options: dict[str, Any]) -> Artifact:
    from compress.verbs import export

    to = options.pop("to")
    fitted = data.sample(_LENGTHS_ROWS, 0)
    return export(source, place.parent, to=to, given=options, data=fitted, output=place)


def _quantize(source: Artifact, data: Dataset, place: Path, options: dict[str, Any]) -> Artifact:
    from compress.verbs import quantize, takes_data

    to, mode = options.pop("to"), options.pop("mode")
    rows = options.pop("rows", 256)
    given = data if takes_data(source, to, mode) else None
    return quantize(source, place.parent, to=to, mode=mode, data=given, rows=rows, given=options, output=place)


def _prune(source: Artifact, data: Dataset, place: Path, options: dict[str, Any]) -> Artifact:
    from compress.verbs import prune

    rows = options.pop("rows", None)
    vocabulary = options.pop("vocabulary", False)
    return prune(source, place.parent, data=data, rows=rows, vocabulary=vocabulary, given=options, output=place)


def _distill(source: Artifact, data: Dataset, place: Path, options: dict[str, Any]) -> Artifact:
    from compress.verbs import distill

    return distill(source, place.parent, data=data, given=options, output=place)


_LENGTHS_ROWS = 2000
"""Rows whose lengths an export is fitted to."""

_VERBS = {"export": _export, "quantize": _quantize, "prune": _prune, "distill": _distill}


def _table(request: dict[str, Any]) -> dict[str, Any]:
    """The line through the times of other shapes, and the shape of the whole; see `compress.pruning.latency`."""
    from compress.chain import apply_all
    from compress.pruning.encoder import layers_of
    from compress.pruning.latency import Trials
    from compress.route import route
    from compress.verbs import takes_data
    from ftc.huggingface.model import load_model
    from ftc.runtimes.session import SessionOptions
    from ftc.runtimes.variant import Variant
    from ftc.tasks.task import open_task

    root, _, data = _opened(request)
    to, mode, way = request["to"], request["mode"], request["way"]
    task = open_task(root)
    example = min(data.head(2000).examples, key=lambda one: abs(task.length(one) - request["length"]))
    rows = data.sample(32, 0) if mode is not None and takes_data(root, to, mode) else None
    options = SessionOptions(device="cuda", variant=Variant.named(way)) if way is not None else None

    def form(shape: Artifact, place: Path) -> Artifact:
        if to is None:
            return shape
        steps = route(shape.manifest.format, to, mode)
        given = {"lengths": (request["length"],)} if to == "tflite" and task.modality == "text" else {}
        return apply_all(steps, shape, place.with_name(f"{place.name}-steps"), given, rows, place, False)

    layers = layers_of(load_model(root), root.path)
    with tempfile.TemporaryDirectory() as place:
        trials = Trials(root, form, task.encode([example] * request["rows"]), Path(place), lambda _by: None, options)
        line = trials.line(tuple(request["depths"]))
    return {
        "rest": line.rest,
        "layer": line.layer,
        "head": line.head,
        "neuron": line.neuron,
        "shapes": [[layer.heads, layer.neurons] for layer in layers],
    }


if __name__ == "__main__":
    main()
