"""One suite over every registered runtime: they agree on one model, whatever executes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.errors import InputError
from ftc.runtimes import RUNTIMES
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks.task import open_task


@pytest.fixture(params=list(RUNTIMES))
def artifact(request: pytest.FixtureRequest, text_checkpoint: Path, text_onnx: Artifact) -> Artifact:
    """An artifact that the runtime under test opens."""
    return {"torch": open_any(text_checkpoint), "onnxruntime": text_onnx}[request.param]


def test_it_agrees_with_the_checkpoint(artifact: Artifact, text_checkpoint: Path) -> None:
    root = open_any(text_checkpoint)
    task = open_task(root)
    batch = task.encode(["good film", ("how is the battery", "it is slow"), "i would not recommend this at all ."])
    expected = open_session(root).run(batch)["logits"]
    answer = open_session(artifact).run(batch)["logits"]
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("length", [2, 17, 64])
def test_batch_and_length_are_dynamic(artifact: Artifact, rows: int, length: int) -> None:
    session = open_session(artifact)
    inputs = {spec.name: np.ones((rows, length), np.int64) for spec in artifact.manifest.inputs}
    assert session.run(inputs)["logits"].shape == (rows, 2)


def test_padding_does_not_change_the_answer(artifact: Artifact) -> None:
    task, session = open_task(artifact), open_session(artifact)
    alone = session.run(task.encode(["good"]))["logits"][0]
    padded = session.run(task.encode(["good", "a " * 40]))["logits"][0]
    np.testing.assert_allclose(alone, padded, atol=1e-4)


def test_threads_are_as_asked_and_recorded(artifact: Artifact) -> None:
    assert open_session(artifact, SessionOptions(threads=1)).conditions()["threads"] == "1"
    with pytest.raises(InputError, match="at least 1"):
        SessionOptions(threads=0)


def test_an_unknown_device_is_refused(artifact: Artifact) -> None:
    with pytest.raises(InputError, match="not on 'abacus'"):
        open_session(artifact, SessionOptions(device="abacus"))


def test_a_damaged_model_file_is_an_input_error(text_onnx: Artifact, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(text_onnx.path, tmp_path / "copy"))
    (copy / "model.onnx").write_bytes(b"\0" * text_onnx.manifest.facts.size_bytes)
    from ftc.artifact import open_artifact

    with pytest.raises(InputError, match="ONNX Runtime cannot open it"):
        open_session(open_artifact(copy))
