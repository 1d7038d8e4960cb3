"""Golden examples: a few inputs with the root's outputs, carried by every artifact and replayed wherever it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ftc.data.arrays import DAMAGE
from ftc.errors import InputError

if TYPE_CHECKING:
    from ftc.data import Example

FILE_NAME = "golden.npz"


@dataclass(frozen=True, slots=True)
class Golden:
    """:param examples: raw examples, texts, pairs of texts or images
    :param of_root: (N, classes) float32, what the root answers
    :param expected: (N, classes) float32, what this very artifact answers, for replays in services and on devices
    """

    examples: tuple[Example, ...]
    of_root: np.ndarray
    expected: np.ndarray


def write(golden: Golden, directory: Path) -> None:
    """Write `golden.npz`; it holds plain arrays only and opens without pickle."""
    arrays: dict[str, np.ndarray] = {"of_root": golden.of_root, "expected": golden.expected}
    for index, example in enumerate(golden.examples):
        if isinstance(example, np.ndarray):
            arrays[f"image_{index:03}"] = example
        else:
            parts = (example,) if isinstance(example, str) else example
            arrays[f"text_{index:03}"] = np.array(parts, dtype=np.str_)
    np.savez_compressed(directory / FILE_NAME, **cast("dict[str, bool]", arrays))


def read(directory: Path) -> Golden:
    """:raises InputError: if the file is missing, damaged, or holds anything but examples and finite answers to each"""
    path = directory / FILE_NAME
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = sorted(key for key in archive.files if key.startswith(("image_", "text_")))
            examples = tuple(_example(archive[name], name) for name in names)
            of_root, expected = (_answers(archive[name], name, len(examples)) for name in ("of_root", "expected"))
        if of_root.shape != expected.shape:
            raise ValueError(f"the root gives answers {of_root.shape}, this artifact {expected.shape}")
    except DAMAGE as error:
        raise InputError(f"{path}: the golden examples cannot be read ({error}). Make the artifact again.") from error
    return Golden(examples, of_root, expected)


def _example(array: np.ndarray, name: str) -> Example:
    if name.startswith("image_"):
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
            raise ValueError(f"{name} is no RGB image in uint8")
        return array
    if array.dtype.kind != "U" or array.shape not in ((1,), (2,)):
        raise ValueError(f"{name} is no text and no pair of texts")
    parts = tuple(map(str, array))
    return parts[0] if len(parts) == 1 else cast("tuple[str, str]", parts)


def _answers(array: np.ndarray, name: str, rows: int) -> np.ndarray:
    if array.dtype != np.float32 or array.ndim != 2 or len(array) != rows or array.size == 0:
        raise ValueError(
            f"{name} must hold a float32 row for each of {rows} examples, it is {array.dtype} {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite")
    return array
