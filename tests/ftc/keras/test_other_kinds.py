"""Keras models that are no image classifiers, or that hold code, are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftc.checkpoint import open_any
from ftc.errors import InputError
from tests.ftc.keras.made import DECLARED, headed, keras, saved


@keras.saving.register_keras_serializable("theirs")
class Doubled(keras.layers.Layer):  # type: ignore[misc]
    """A layer that only its author's program knows."""

    def call(self, values: Any) -> Any:
        return values * 2


def _lambda(layers: Any) -> Any:
    image, scores = headed(layers)
    return image, layers.Lambda(lambda values: values * 2, name="twice")(scores)


def _own_layer(layers: Any) -> Any:
    image, scores = headed(layers)
    return image, Doubled(name="twice")(scores)


def _two_inputs(layers: Any) -> Any:
    (first, one), (second, other) = headed(layers), headed(layers)
    return [first, second], layers.Average()([one, other])


def _two_outputs(layers: Any) -> Any:
    image, scores = headed(layers)
    return image, [scores, layers.Dense(2)(scores)]


def _no_head(layers: Any) -> Any:
    image = keras.Input((32, 32, 3))
    return image, layers.Conv2D(4, 3)(image)


def _vector(layers: Any) -> Any:
    values = keras.Input((16,))
    return values, layers.Dense(3)(values)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (_lambda, "Lambda.*'twice'.*holds code"),
        (_own_layer, "Doubled.*'twice'.*not one of Keras's own"),
        (_two_inputs, "2 inputs"),
        (_two_outputs, "2 outputs"),
        (_no_head, r"one row of scores"),
        (_vector, r"float32 inputs of shape \('batch', 16\)"),
        (lambda layers: headed(layers, shape=(32, 32, 1)), "image classifiers"),
        (lambda layers: headed(layers, units=1, activation="sigmoid"), "single output unit"),
        (lambda layers: headed(layers, shape=(None, None, 3)), "any size"),
    ],
)
def test_models_of_another_kind_are_refused(tmp_path: Path, build: Any, words: str) -> None:
    path = saved(tmp_path / "model.keras", build)
    with pytest.raises(InputError, match=words):
        open_any(path, DECLARED)


@pytest.mark.parametrize("build", [_lambda, _own_layer])
def test_code_in_an_old_file_is_refused_too(tmp_path: Path, build: Any) -> None:
    with pytest.raises(InputError, match=r"holds code|of Keras's own|cannot load it"):
        open_any(saved(tmp_path / "model.h5", build), DECLARED)
