"""The data room: examples from a user's file, folder or hub dataset, checked, labelled and fingerprinted.

    a table   delimited, jsonrows, arrow, hub -> Table -(columns, labels, images)-> assemble -> Dataset
    images    folder, arrays                                                             -> Dataset

Nothing heavy is imported before `load` has looked at its source.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ftc.data.dataset import Columns, Dataset, Example, Request
from ftc.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from ftc.data.table import Table

__all__ = ["Columns", "Dataset", "Example", "load"]

USUAL_COLUMNS = Columns()
HUB_PREFIX = "hub:"
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
ADVICE = {
    ".txt": "plain text has no columns: write a .csv or .tsv with a header, such as 'text,label'",
    ".gz": "unpack it first",
    ".zip": "unpack it first",
    ".xlsx": "save the sheet as CSV (UTF-8)",
    ".pkl": "pickles run code when opened and are never loaded: save the rows as .csv, .jsonl or .parquet",
    ".npy": "save images and labels together: numpy.savez(path, x=images, y=labels)",
}


def load(
    source: str,
    *,
    modality: Literal["text", "image"],
    classes: Sequence[str] | None,
    columns: Columns = USUAL_COLUMNS,
    pair: bool | None = None,
    need_labels: bool = False,
    split: str | None = None,
    owner: str | None = None,
) -> Dataset:
    """Read a dataset and match its labels to the classes of a checkpoint, or of other data.

    :param source: a .csv, .tsv, .jsonl, .ndjson, .json, .parquet or .npz file, a folder of images with one
        directory per class, a folder that ``save_to_disk`` of `datasets` wrote, or ``hub:NAME[:SPLIT]`` where
        NAME is ``name``, ``owner/name`` or ``owner/name/config``
    :param modality: what the checkpoint reads
    :param classes: the checkpoint's label names in the order of their ids; None to take those that the data has
    :param columns: the columns that the user named; the others are found by their usual names
    :param pair: True where the checkpoint reads text pairs, False where it reads single texts, None to read
        pairs where the columns of one are found
    :param need_labels: refuse data without a label on every row
    :param split: the split of a dataset that has several
    :param owner: the source of the data that the classes come from: labels are matched to them by name alone, as the
        numbers of such classes are made up; None for a checkpoint's
    :raises InputError: whatever stands in the way of reading every row as it was written
    """
    request = Request(
        source, modality, None if classes is None else tuple(classes), columns, pair, need_labels, split, owner
    )
    if source.startswith(HUB_PREFIX):
        from ftc.data import assemble, hub

        return assemble.dataset(*hub.download(request), request)
    path = Path(source)
    # os.path asks about names of any length without raising
    if os.path.isdir(path):
        return _folder(path, request)
    if not os.path.isfile(path):
        raise InputError(
            f"{source[:200]}: no such file or folder; for a dataset of the Hugging Face hub write {HUB_PREFIX}NAME"
        )
    return _file(path, request)


def _folder(path: Path, request: Request) -> Dataset:
    from ftc.data import assemble, folder, hub

    if hub.is_saved(path):
        return assemble.dataset(*hub.saved(path, request), request)
    if request.modality == "text":
        raise InputError(
            f"{request.source}: a folder holds texts only if datasets' save_to_disk wrote it; "
            f"name a file instead ({', '.join(TABLE_SUFFIXES)})"
        )
    return folder.from_folder(path, request)


def _file(path: Path, request: Request) -> Dataset:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        from ftc.data import arrays

        return arrays.from_npz(path, request)
    if suffix not in TABLE_SUFFIXES:
        advice = ADVICE.get(suffix, "convert it to one of these")
        allowed = ", ".join((*TABLE_SUFFIXES, ".npz"))
        kind = f"{suffix} files are" if suffix else "a file without an ending is"
        raise InputError(f"{request.source}: {kind} not read ({allowed} are); {advice}")
    if request.split is not None:
        raise InputError(
            f"{request.source}: a {suffix} file has no splits, but split {request.split!r} was asked for; "
            "leave the split out, or name the file of that split"
        )
    from ftc.data import assemble
    from ftc.data.table import FileRoots

    roots = FileRoots((path.parent, path.parent / "images"))
    return assemble.dataset(_table(path, suffix, request.source), roots, request)


def _table(path: Path, suffix: str, source: str) -> Table:
    from ftc.data import delimited, jsonrows

    match suffix:
        case ".csv":
            return delimited.read_csv(path, source)
        case ".tsv":
            return delimited.read_tsv(path, source)
        case ".json":
            return jsonrows.read_list(path, source)
        case ".parquet":
            return _parquet(path, source)
        case _:
            return jsonrows.read_lines(path, source)


def _parquet(path: Path, source: str) -> Table:
    try:
        from ftc.data import arrow
    except ModuleNotFoundError as error:
        raise MissingExtra(source, "pyarrow", "data") from error
    return arrow.read_parquet(path, source)
