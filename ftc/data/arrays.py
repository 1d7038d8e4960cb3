"""Images and labels kept as arrays in an .npz file."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ftc.console import say
from ftc.data import labels
from ftc.data.dataset import Columns, Dataset, OnAccess, Request
from ftc.data.fingerprint import fingerprint
from ftc.data.table import by_row
from ftc.errors import InputError

IMAGES = ("x", "images", "image")
LABELS = ("y", "labels", "label")
CLASSES = ("classes", "class_names", "label_names")

# What zipfile and NumPy raise on files that are not in order; RuntimeError stands for encrypted members and
# unknown methods of compression, MemoryError and OverflowError for shapes that cannot be true, TokenError for
# headers that do not end.
DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    LookupError,
    RuntimeError,
    MemoryError,
    OverflowError,
    TypeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Pixels:
    """Called with a row it gives that image as uint8 (H, W, 3), a copy.

    :param array: (N, H, W, 3), or (N, H, W, 1) for greyscale; uint8
    """

    array: NDArray[np.uint8]

    def __call__(self, row: int) -> NDArray[np.uint8]:
        image = self.array[row]
        return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image.copy()


def from_npz(path: Path, request: Request) -> Dataset:
    """Images uint8 (N, H, W, 3), (N, H, W, 1) or (N, H, W), and labels (N,) or (N, 1): numbers or names.

    The arrays are those that the request names, else ``x`` and ``y`` or their like; with a split, ``x_SPLIT``
    or ``SPLIT_images``. An array ``classes`` names the numbers in the labels.

    :raises InputError: if the file is damaged or holds pickles, or an array is missing or of another shape
    """
    source = request.source
    if request.modality == "text":
        raise InputError(f"{source}: an .npz holds images, but the checkpoint reads texts")
    try:
        with zipfile.ZipFile(path) as archive:
            names = tuple(name.removesuffix(".npy") for name in archive.namelist())
    except DAMAGE as error:
        raise InputError(f"{source}: cannot be read as .npz: {error}") from error
    image = _named(request.columns.image, IMAGES, names, request)
    label = _named(request.columns.label, LABELS, names, request)
    if image is None or (label is None and request.need_labels):
        wanted, usual = ("images", IMAGES) if image is None else ("labels", LABELS)
        has_splits = any(name.startswith("x_") or name.endswith("_images") for name in names)
        raise InputError(
            f"{source}: no array of {wanted} ({', '.join(usual)}) among {', '.join(map(repr, names))}; "
            f"name it with --{wanted.removesuffix('s')}-column{' or name the split' if has_splits else ''}"
        )
    pixels = _pixels(_array(path, image, source), f"{source}: array {image!r}")
    taken = Columns(label=label, image=image)
    found = f"label = {label!r}" if label is not None else "no labels"
    say(f"{source}: image = {image!r}, {found}; {len(pixels)} rows")
    ids: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    if label is not None:
        own = next((name for name in CLASSES if name in names), None)
        column = labels.LabelColumn(
            where=f"{source}: array {label!r}",
            values=_values(_array(path, label, source), len(pixels), f"{source}: array {label!r}"),
            place=by_row,
            own_names=tuple(map(str, _array(path, own, source).ravel().tolist())) if own is not None else (),
        )
        ids, classes = labels.resolve(column, request.classes, need=request.need_labels, owner=request.owner)
    content = (str(pixels.shape).encode(), pixels.tobytes())
    examples = OnAccess(Pixels(pixels), range(len(pixels)))
    return Dataset(examples, ids, source, fingerprint(taken, ids, content), taken, classes)


def _named(wish: str | None, usual: Sequence[str], names: Sequence[str], request: Request) -> str | None:
    if wish is not None:
        if wish not in names:
            raise InputError(f"{request.source}: no array {wish!r}; the arrays are {', '.join(map(repr, names))}")
        return wish
    split = request.split
    patterns = ("{0}",) if split is None else (f"{{0}}_{split}", f"{split}_{{0}}")
    candidates = [pattern.format(name) for name in usual for pattern in patterns]
    return next((name for name in candidates if name in names), None)


def _array(path: Path, name: str, source: str) -> NDArray[np.generic]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            array = archive[name]
    except DAMAGE as error:
        raise InputError(f"{source}: array {name!r} cannot be read: {error}") from error
    if not isinstance(array, np.ndarray):  # NumPy hands out the bytes of a member that is no array
        raise InputError(f"{source}: {name!r} is no array")
    return array


def _pixels(array: NDArray[np.generic], where: str) -> NDArray[np.uint8]:
    if array.dtype != np.uint8:
        raise InputError(f"{where}: pixels must be uint8 from 0 to 255, found {array.dtype}; save them as uint8")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        channels_first = array.ndim == 4 and array.shape[1] in (1, 3)
        advice = "; put the channels last: numpy.moveaxis(x, 1, -1)" if channels_first else ""
        raise InputError(f"{where}: the shape must be (N, H, W, 3) or (N, H, W), found {array.shape}{advice}")
    if 0 in array.shape:
        raise InputError(f"{where}: no images in an array of shape {array.shape}")
    return np.ascontiguousarray(array, dtype=np.uint8)


def _values(array: NDArray[np.generic], rows: int, where: str) -> list[object]:
    if array.shape not in ((rows,), (rows, 1)):
        raise InputError(
            f"{where}: one label per image is needed, shape ({rows},), found {array.shape}; "
            "turn one-hot rows into numbers with numpy.argmax(y, axis=1)"
        )
    values: list[object] = array.ravel().tolist()
    return values
