"""What the `datasets` library keeps: folders written by `save_to_disk`, and the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ftc.data.table import FileRoots, Table, by_row
from ftc.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from ftc.data.dataset import Request

NAME = re.compile(r"(\w[\w.-]*(?:/\w[\w.-]*)?)(?:/([\w.-]+))?(?::([\w.-]+))?")


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    single = (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    return single or (folder / "dataset_dict.json").is_file()


def saved(folder: Path, request: Request) -> tuple[Table, FileRoots]:
    """The rows of a folder written by ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk``.

    :raises InputError: if the folder is damaged, or has several splits of which none was named
    """
    import pyarrow as pa

    library = _library(request.source)
    try:
        loaded = library.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"{request.source}: cannot be read as a saved dataset: {error}") from error
    return _table(_split(loaded, request.split, request.source), request.source), FileRoots((folder,))


def download(request: Request) -> tuple[Table, FileRoots]:
    """The rows of ``hub:NAME[:SPLIT]``; code that a repository brings is never run.

    :raises InputError: if the dataset, its configuration or split is not there, or the hub cannot be reached
    """
    source = request.source
    parts = NAME.fullmatch(source.removeprefix("hub:"))
    if parts is None:
        raise InputError(f"{source}: write hub:name, hub:owner/name or hub:owner/name/config, then :split")
    name, config, split = parts.groups()
    if split and request.split and split != request.split:
        raise InputError(f"{source}: names the split {split!r}, but {request.split!r} was asked for")
    if Path(name).exists():  # the library would read it in place of the hub
        raise InputError(f"{source}: {name} is a file or folder here; rename it, or give it without 'hub:'")
    library = _library(source)
    split = split or request.split
    try:
        if split is None:
            splits = library.load_dataset_builder(name, config).info.splits
            if splits:
                split = _only(tuple(splits), source)
        loaded = library.load_dataset(name, config, split=split)
    except (OSError, ValueError, RuntimeError, library.exceptions.DatasetsError) as error:
        raise InputError(
            f"{source}: cannot be loaded from the hub: {error}\n"
            "  check the name and the connection; or save it elsewhere with save_to_disk and give that folder"
        ) from error
    caches = (Path(library.config.HF_DATASETS_CACHE), Path(library.config.HF_HUB_CACHE))
    return _table(_split(loaded, None, source), source), FileRoots((), caches)


def _split(loaded: Dataset | DatasetDict, wish: str | None, source: str) -> Dataset:
    if not isinstance(loaded, dict):
        if wish is not None and wish != str(loaded.split):
            raise InputError(f"{source}: has no splits, but split {wish!r} was asked for; leave it out")
        return loaded
    names = tuple(loaded)
    if wish is not None and wish not in names:
        raise InputError(f"{source}: no split {wish!r}; the splits are {', '.join(names)}")
    chosen: Dataset = loaded[wish if wish is not None else _only(names, source)]
    return chosen


def _only(names: tuple[str, ...], source: str) -> str:
    if len(names) != 1:
        raise InputError(f"{source}: has the splits {', '.join(names) or '(none)'}; name one with --split")
    return names[0]


def _table(rows: Dataset, source: str) -> Table:
    from ftc.data import arrow

    names = tuple(rows.column_names)

    def column(position: int) -> Sequence[object]:
        stored = rows.select_columns([names[position]]).with_format("arrow")[:].column(0)
        return arrow.cells(stored, f"{source}: column {names[position]!r}")

    return Table(
        names=names,
        rows=rows.num_rows,
        column=column,
        place=by_row,
        class_names=arrow.class_names(rows.features.arrow_schema.metadata),
    )


def _library(source: str) -> ModuleType:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingExtra(source, "datasets", "data") from error
    library: ModuleType = datasets
    return library
