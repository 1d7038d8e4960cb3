"""Keras itself, models made of its layers, and what must be declared of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftc.declared import Declared
from tests.conftest import IMAGE_LABELS

tf = pytest.importorskip(
    "tensorflow", reason="Keras models need TensorFlow: pip install -c constraints.txt -e '.[keras]'"
)
keras = pytest.importorskip("keras", reason="Keras models need Keras: pip install -c constraints.txt -e '.[keras]'")

DECLARED = Declared(labels=IMAGE_LABELS, processor="tf")


def saved(path: Path, build: Callable[[Any], tuple[Any, Any]]) -> Path:
    """A model of inputs and outputs that `build` makes from Keras's layers."""
    keras.Model(*build(keras.layers)).save(path)
    return path


def headed(layers: Any, *, units: int = 3, activation: str | None = "softmax", shape: Any = (32, 32, 3)) -> Any:
    image = keras.Input(shape)
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    return image, layers.Dense(units, activation=activation)(features)
