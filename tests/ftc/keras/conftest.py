"""A Keras model of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ftc.artifact import Artifact


@pytest.fixture
def copy(keras_root: Artifact, tmp_path: Path) -> Path:
    return Path(shutil.copy(keras_root.path, tmp_path / "model.keras"))
