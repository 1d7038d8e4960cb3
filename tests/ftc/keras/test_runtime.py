"""The runtime of Keras models: it answers as Keras does, with the threads that were asked for."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ftc.artifact import Artifact
from ftc.errors import InputError
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks.task import open_task
from tests.ftc.keras.made import keras


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_runtime_takes_any_batch(keras_root: Artifact, rows: int) -> None:
    answers = open_session(keras_root).run({"image": np.zeros((rows, 32, 32, 3), np.float32)})
    assert answers["probabilities"].shape == (rows, 3)
    assert answers["probabilities"].dtype == np.float32
    np.testing.assert_allclose(answers["probabilities"].sum(-1), 1, atol=1e-5)


def test_the_runtime_answers_like_keras_itself(keras_root: Artifact) -> None:
    batch = open_task(keras_root).encode(open_task(keras_root).golden_examples())
    expected = keras.saving.load_model(keras_root.path).predict(batch["image"], verbose=0)
    np.testing.assert_allclose(open_session(keras_root).run(batch)["probabilities"], expected, atol=1e-6)


def test_an_unknown_device_is_refused(keras_root: Artifact) -> None:
    with pytest.raises(InputError, match="not on 'abacus'"):
        open_session(keras_root, SessionOptions(device="abacus"))


THREADS = """
import sys
from pathlib import Path
from pydantic import TypeAdapter
from ftc.artifact import Artifact
from ftc.errors import InputError
from ftc.manifest import Manifest
from ftc.runtimes.session import SessionOptions, open_session

artifact = Artifact(Path(sys.argv[1]), TypeAdapter(Manifest).validate_json(sys.stdin.read()))
print(open_session(artifact, SessionOptions(threads=1)).conditions()["threads"])
import tensorflow as tf
print(tf.config.threading.get_intra_op_parallelism_threads())
try:
    open_session(artifact, SessionOptions(threads=3))
except InputError as error:
    print(error)
"""


def test_threads_are_as_asked_or_refused(keras_root: Artifact) -> None:
    from ftc.manifest import to_json

    done = subprocess.run(
        [sys.executable, "-c", THREADS, str(keras_root.path)],
        input=to_json(keras_root.manifest),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[:2] == ["1", "1"]
    assert "uses 1 threads in this process already and cannot change to 3" in done.stdout
