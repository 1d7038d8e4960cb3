"""Golden examples: a few inputs with the root's outputs, carried by every artifact and replayed wherever it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

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
    """:raises InputError: if the file is missing or no archive of plain arrays"""
    path = directory / FILE_NAME
    try:
        with np.load(path, allow_pickle=False) as archive:
            examples: list[Example] = []
            for name in sorted(key for key in archive.files if key.startswith(("image_", "text_"))):
                array = archive[name]
                if name.startswith("image_"):
                    examples.append(array)
                else:
                    parts = tuple(str(part) for part in array)
                    examples.append(parts[0] if len(parts) == 1 else cast("tuple[str, str]", parts))
            return Golden(tuple(examples), archive["of_root"], archive["expected"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: the golden examples cannot be read ({error}). Make the artifact again.") from error
