"""Keras on TensorFlow: the reference for what is made of a Keras model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import tensorflow as tf

from ftc.errors import InputError, RunError
from ftc.keras.model import import_tensorflow, load_network
from ftc.runtimes.session import available_cores

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.runtimes.session import SessionOptions


class KerasSession:
    """A Keras model as one traced function in float32, so that a call does not go through Python layer by layer."""

    formats: ClassVar[frozenset[str]] = frozenset({"keras"})
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    settings: ClassVar[frozenset[str]] = frozenset()
    concurrent: ClassVar[bool] = False

    def __init__(self, function: Any, holder: Any, threads: int) -> None:
        self._function = function
        self._holder = holder  # variables go with their model
        self._threads = threads

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        import_tensorflow()
        _set_threads(options.thread_count())
        manifest = artifact.manifest
        network = load_network(artifact.model_path)
        shape = (None, *(size for size in manifest.inputs[0].shape[1:] if isinstance(size, int)))
        return cls(network.function(manifest.output, shape), network, options.thread_count())

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        try:
            return {name: value.numpy() for name, value in self._function(**tensors).items()}
        except tf.errors.OpError as error:
            raise RunError(f"the Keras model fails on this input: {error.message}") from error

    def conditions(self) -> dict[str, str]:
        import keras

        return {
            "runtime": "keras",
            "version": keras.__version__,
            "tensorflow": tf.__version__,
            "threads": str(self._threads),
        }


def _set_threads(count: int) -> None:
    """Set the threads of TensorFlow's operators, which a process can do only before the first of them runs."""
    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(count)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        now = threading.get_intra_op_parallelism_threads() or available_cores()  # 0: every core
        if now != count:
            raise InputError(
                f"TensorFlow uses {now} threads in this process already and cannot change to {count}: "
                "open the model in a process of its own."
            ) from error
