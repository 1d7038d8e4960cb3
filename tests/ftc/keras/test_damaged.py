"""Keras files that are damaged, or no models at all, are refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ftc.checkpoint import open_any
from ftc.errors import InputError
from tests.conftest import save_keras_model
from tests.ftc.keras.made import DECLARED, keras


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _text(path: Path) -> None:
    path.write_text("this is not a model")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncated, _text, _empty, _other_archive, _flipped])
def test_damaged_files_are_refused(copy: Path, damage: Callable[[Path], None]) -> None:
    damage(copy)
    with pytest.raises(InputError, match=r"damaged|no Keras model|copied in part"):
        open_any(copy, DECLARED)


def test_weights_alone_are_refused(copy: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    keras.saving.load_model(copy).save_weights(path)
    with pytest.raises(InputError, match="weights alone"):
        open_any(path, DECLARED)


def test_weights_that_are_no_numbers_are_refused(copy: Path) -> None:
    model = keras.saving.load_model(copy)
    kernel = model.get_layer("head").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    model.save(copy)
    with pytest.raises(InputError, match=r"head/kernel.*NaN"):
        open_any(copy, DECLARED)


def test_an_archive_that_would_fill_the_memory_is_refused(copy: Path) -> None:
    with zipfile.ZipFile(copy, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("padding", bytes(200 * copy.stat().st_size))
    with pytest.raises(InputError, match="would unpack to more than"):
        open_any(copy, DECLARED)


def test_a_damaged_saved_model_is_refused(tmp_path: Path) -> None:
    path = save_keras_model(tmp_path / "tiny")
    (path / "saved_model.pb").write_bytes(b"\xff" * 200)
    with pytest.raises(InputError, match=r"saved_model\.pb is damaged"):
        open_any(path, DECLARED)
