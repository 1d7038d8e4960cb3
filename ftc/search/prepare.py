"""What a search begins with: the checkpoint opened, the rows divided, the plan made, and bad requests refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ftc import gpu
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.console import caution, counted, say
from ftc.data import Columns
from ftc.declared import SELF_DESCRIBED, Declared
from ftc.errors import InputError
from ftc.foreign.files import refuse
from ftc.search import pace, plan
from ftc.search.bounds import Bounds
from ftc.search.journal import SCHEMA, Begun
from ftc.search.links import Chain, digest, key
from ftc.search.parts import Parts, Source
from ftc.search.request import Request, Target

if TYPE_CHECKING:
    from ftc.data import Dataset

PLACE = "search"
"""Below the directory of the artifacts, where searches keep what they build."""

_SET_APART = 0.1
"""Of the rows, at most 2,000, for the final score, where no other rows are given for it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A search before it begins.

    :param chains: what is tried first, or all that is tried where a recipe was given
    :param is_fixed: whether a recipe gave them
    :param bounds: what a recipe holds the search to
    :param final: the rows of the final score
    :param artifacts: the directory of the results
    :param search: its id: by the checkpoint, the rows, the request, the machine and what is tried first
    """

    root: Artifact
    declared: Declared
    request: Request
    source: Source
    parts: Parts
    final: Dataset
    chains: tuple[Chain, ...]
    skipped: tuple[plan.Skipped, ...]
    is_fixed: bool
    bounds: Bounds
    artifacts: Path
    search: str

    @property
    def place(self) -> Path:
        """Where it keeps what it builds."""
        return self.artifacts / PLACE

    @property
    def journal(self) -> Path:
        """Where its state is."""
        return self.place / f"{self.root.manifest.name}-{self.search}.jsonl"

    @property
    def results(self) -> Path:
        """Where the final measurement goes."""
        return _results(self.artifacts, self.request)

    @property
    def page(self) -> Path:
        """Where the page about it goes."""
        return page(self.artifacts, self.request)

    def begun(self) -> Begun:
        """The first line of its journal."""
        told = {
            name: value if value is None or isinstance(value, (bool, int, float)) else str(value)
            for name, value in asdict(self.request).items()
        }
        started = datetime.now(UTC).isoformat(timespec="seconds")
        return Begun(self.search, started, self.root.manifest.id, told, tuple(map(key, self.chains)))


def prepare(
    checkpoint: str | Path,
    data: str | Path,
    *,
    final: str | Path | None = None,
    request: Request | None = None,
    artifacts: Path = Path("artifacts"),
    recipe: Sequence[Chain] | Bounds = (),
    columns: Columns | None = None,
    split: str | None = None,
    final_split: str | None = None,
    declared: Declared | None = None,
) -> Planned:
    """Open everything, divide the rows, and say what would be tried; see `optimize`.

    :raises InputError: if the request, the rows or the checkpoint are refused, or the results could not be kept
    """
    request, declared, path = request or Request(), declared or Declared(), Path(checkpoint)
    if request.target is Target.CUDA:
        gpu.chosen(asked="--target")  # before anything is opened
    refuse(path, "searched for a faster form of")
    _check_results(artifacts, request)
    root = open_any(path, declared)
    if root.manifest.format in SELF_DESCRIBED:  # an adapter's labels went into what it was merged into
        declared = Declared(declared.task)
    if not root.manifest.is_root:
        raise InputError(f"{path} is made by ftc already: search from {root.manifest.root_path}, the checkpoint.")
    if final is not None and Path(data).resolve() == Path(final).resolve() and split == final_split:
        raise InputError(f"--data and --eval are both {data}: the final score must come from rows that tuned nothing.")
    source = Source(
        str(data),
        columns or Columns(),
        split,
        apart_from=None if final is None else str(final),
        apart_split=final_split,
        final=_SET_APART if final is None else 0.0,
        seed=request.seed,
    )
    parts = source.parts(root)
    source = replace(source, tuning=parts.tuning.fingerprint)
    if parts.leaking:
        caution(f"left out of {data}, being among the rows of the final score: {parts.leaking}")
    if parts.repeated:
        say(f"left out of {data}, repeating an earlier row: {parts.repeated}")
    if final is None:
        caution(
            f"no rows for the final score alone: {len(parts.final or ())} of {data} were set apart. If the checkpoint "
            "was trained on these rows, drops may be others on new ones; --eval takes rows that it has never seen."
        )
    scored = parts.final if parts.final is not None else Source(str(final), source.columns, final_split).load(root)
    if final is not None and _base(scored) == _base(parts.tuning):
        raise InputError(
            f"{data} and {final} hold the same rows: the final score must come from rows that tuned nothing."
        )
    few = ((parts.judging, f"of {data} judge, a tenth of all"), (scored, f"of {final or data} give the final score"))
    for part, what in few:
        if len(part) < pace.LEAST_JUDGING:
            caution(
                f"only {counted(len(part), 'row')} {what}: one of them weighs {100 / len(part):.1f} points. More rows "
                "there tell smaller drops."
            )
    bounds, fixed = (recipe, ()) if isinstance(recipe, Bounds) else (Bounds(), recipe)
    chains, skipped = _fixed(root, fixed, request) if fixed else plan.post_training(root, request, bounds)
    rows = (parts.tuning.fingerprint, scored.fingerprint)
    tried = (f"journal {SCHEMA}", "recipe" if fixed else repr(bounds), *map(key, chains))
    search = digest("\n".join((root.manifest.id, *rows, repr(request), *_machine(request), *tried)))
    return Planned(
        root, declared, request, source, parts, scored, chains, skipped, bool(fixed), bounds, artifacts, search
    )


def _fixed(
    root: Artifact, recipe: Sequence[Chain], request: Request
) -> tuple[tuple[Chain, ...], tuple[plan.Skipped, ...]]:
    """The candidates of a recipe after the reference, on a GPU with the checkpoint itself; and what is left out.

    :raises InputError: if one of them leads nowhere, or has nothing there that executes it
    """
    for number, chain in enumerate(recipe, 1):
        plan.check(root, chain, request, f"candidate {number} of the recipe, {key(chain)}")
    first, skipped = plan.on_a_gpu(root) if request.target is Target.CUDA else ((plan.REFERENCE,), ())
    chains = tuple(plan.with_export(root, chain) for chain in recipe)
    return tuple(dict.fromkeys((*first, *chains))), skipped


def page(artifacts: Path, request: Request) -> Path:
    """Where the page about a search goes."""
    from ftc.search.report import FILE_NAME, GPU_FILE_NAME

    return artifacts / (FILE_NAME if request.device == "cpu" else GPU_FILE_NAME)


def _results(artifacts: Path, request: Request) -> Path:
    from bench.results import FILE_NAME, GPU_FILE_NAME

    return artifacts / (FILE_NAME if request.device == "cpu" else GPU_FILE_NAME)


def _check_results(artifacts: Path, request: Request) -> None:
    """Refuse a file into which the final measurement could not be written, before the budget is used."""
    from bench.results import check

    if artifacts.exists() and not artifacts.is_dir():
        raise InputError(f"--artifacts {artifacts} is no directory: give one, or a path where nothing is yet.")
    path = _results(artifacts, request)
    check(path)
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(
            f"{path} cannot be written, and the final measurement goes there: allow that, or give another directory "
            "with --artifacts."
        )


def _base(data: Dataset) -> str:
    """The fingerprint of the rows that these are a part of."""
    return data.fingerprint.partition(":")[0]


def _machine(request: Request) -> tuple[str, ...]:
    """What times depend on besides the request: of another machine, or with other libraries, they are others."""
    from bench.conditions import versions as of_runtimes
    from compress.apply import versions
    from ftc.machine import processor
    from ftc.runtimes.session import SessionOptions

    count = SessionOptions(request.threads).thread_count()
    told = [processor().model, f"{count} threads", *(f"{name} {known}" for name, known in versions().items())]
    if request.target is Target.CUDA:
        told += [str(gpu.chosen(asked="--target").gpu), *(f"{name} {known}" for name, known in of_runtimes().items())]
    return tuple(told)
