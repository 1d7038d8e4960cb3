"""A folder of images, one directory per class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ftc.console import caution, say
from ftc.data import labels
from ftc.data.dataset import Columns, Dataset, Request
from ftc.data.fingerprint import fingerprint
from ftc.data.images import from_cells
from ftc.data.table import FileRoots
from ftc.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".webp", ".tif", ".tiff")
LISTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def from_folder(folder: Path, request: Request) -> Dataset:
    """The images below a folder, by path; the class is the name of the first directory below the folder.

    Hidden files and directories are left alone, and files whose ending is no image's are named and left out.

    :raises InputError: if there are no images, or the directories are not the checkpoint's classes
    """
    if request.columns != Columns():
        raise InputError(f"{request.source}: a folder of images has no columns; leave the column options out")
    if request.split is not None:
        folder = folder / request.split
        is_name = request.split not in ("", "..") and Path(request.split).name == request.split
        if not is_name or not folder.is_dir():
            raise InputError(f"{request.source}: no directory {request.split!r} for that split")
    files = _files(folder)
    images = tuple(name for name in files if name.lower().endswith(SUFFIXES))
    lists = [name for name in files if name.lower().endswith(LISTS)]
    hint = f"; if the classes are listed in {lists[0]}, give that file instead" if lists else ""
    if not images:
        raise InputError(f"{request.source}: no images ({', '.join(SUFFIXES)}) in this folder{hint}")
    others = [name for name in files if not name.lower().endswith(SUFFIXES)]
    if others:
        caution(f"{request.source}: {len(others)} files are no images and were left out, such as {others[0]}")
    directories = [name.split("/")[0] if "/" in name else None for name in images]
    ids: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    if any(directories):
        say(f"{request.source}: {len(set(directories) - {None})} class directories; {len(images)} images")
        column = labels.LabelColumn(
            where=f"{request.source}: class directories",
            values=directories,
            place=images.__getitem__,
            advice=f"name the directories after the classes of {request.owner or 'the checkpoint'}{hint}",
        )
        ids, classes = labels.resolve(column, request.classes, need=request.need_labels, owner=request.owner)
    elif request.need_labels:
        raise InputError(
            f"{request.source}: the images lie in no class directories, but labels are needed; "
            f"put every image into a directory with the name of its class{hint}"
        )
    else:
        say(f"{request.source}: no class directories, read without labels; {len(images)} images")
    roots = FileRoots((folder,))
    examples, content = from_cells(images, roots, lambda _: request.source, request.source)
    return Dataset(examples, ids, request.source, fingerprint(Columns(), ids, content), Columns(), classes)


def _files(folder: Path) -> list[str]:
    """Names relative to the folder, with slashes, sorted: the same order on every machine."""
    found: list[str] = []
    for top in os.scandir(folder):
        if top.name.startswith("."):
            continue
        if top.is_dir():  # may be a link; links further down are not followed, they could go in circles
            found += _below(Path(top.path), folder)
        else:
            found.append(top.name)
    return sorted(found)


def _below(directory: Path, folder: Path) -> list[str]:
    found: list[str] = []
    for parent, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if not name.startswith(".")]
        below = Path(parent).relative_to(folder)
        found += [(below / name).as_posix() for name in names if not name.startswith(".")]
    return found
