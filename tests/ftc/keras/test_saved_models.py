"""SavedModels that would reach outside the model, or take one batch size only, are refused unrun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftc.checkpoint import open_any
from ftc.errors import InputError
from tests.ftc.keras.made import DECLARED, tf


def saved_function(path: Path, function: Any, shape: tuple[int | None, ...]) -> Path:
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32, "image")])
    tf.saved_model.save(module, str(path), signatures=module.serve)
    return path


def test_a_saved_model_that_runs_code_or_reads_files_is_refused(tmp_path: Path) -> None:
    def reads(image: Any) -> Any:
        secret = tf.strings.length(tf.io.read_file("/etc/hostname"))
        return tf.reduce_mean(image, [1, 2]) + tf.cast(secret, tf.float32)

    with pytest.raises(InputError, match="operator ReadFile"):
        open_any(saved_function(tmp_path / "reads", reads, (None, 32, 32, 3)), DECLARED)


def test_a_saved_model_that_writes_files_is_refused_unrun(tmp_path: Path) -> None:
    written = tmp_path / "written"

    def writes(image: Any) -> Any:
        writer = tf.raw_ops.SummaryWriter(shared_name="writer")
        tf.raw_ops.CreateSummaryFileWriter(
            writer=writer, logdir=str(written), max_queue=1, flush_millis=1, filename_suffix=""
        )
        return tf.reduce_mean(image, [1, 2])

    path = saved_function(tmp_path / "writes", writes, (None, 32, 32, 3))
    with pytest.raises(InputError, match=r"SummaryWriter|CreateSummaryFileWriter"):
        open_any(path, DECLARED)
    assert not written.exists()


def test_a_saved_model_of_one_batch_size_is_refused(tmp_path: Path) -> None:
    path = saved_function(tmp_path / "fixed", lambda image: tf.reduce_mean(image, [1, 2]), (4, 32, 32, 3))
    with pytest.raises(InputError, match="batches of 4 only"):
        open_any(path, DECLARED)
