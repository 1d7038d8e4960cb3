"""One suite over every registered runtime: they agree on one model, whatever executes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.errors import InputError
from ftc.runtimes import RUNTIMES
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks.task import open_task

ARTIFACTS = {
    "torch": "text_root",
    "onnxruntime": "text_onnx",
    "litert": "text_tflite",
    "openvino": "text_openvino",
}
"""For each runtime, the fixture that makes an artifact it opens."""

IMAGES_ONLY = {"keras"}
"""Keras checkpoints are image classifiers here: tests/ftc/keras/test_runtime.py asks the same of their runtime."""


@pytest.fixture(params=[name for name in RUNTIMES if name not in IMAGES_ONLY])
def artifact(request: pytest.FixtureRequest) -> Artifact:
    """An artifact that the runtime under test opens."""
    opened: Artifact = request.getfixturevalue(ARTIFACTS[request.param])
    return opened


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


def test_calls_from_several_threads_do_not_mix_their_answers(artifact: Artifact) -> None:
    task, session = open_task(artifact), open_session(artifact)
    inputs = [task.encode(["good " * words]) for words in range(1, 25)]
    alone = [session.run(each)["logits"] for each in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = [answer["logits"] for answer in pool.map(session.run, inputs * 4)]
    for got, wanted in zip(together, alone * 4, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_a_text_longer_than_the_model_takes_is_truncated(artifact: Artifact) -> None:
    task, session = open_task(artifact), open_session(artifact)
    long = task.encode(["good film " * 300])
    assert long["input_ids"].shape == (1, 64)
    assert np.isfinite(session.run(long)["logits"]).all()


def test_threads_are_as_asked_and_recorded(artifact: Artifact) -> None:
    assert open_session(artifact, SessionOptions(threads=1)).conditions()["threads"] == "1"
    with pytest.raises(InputError, match="from 1 to 1024"):
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


@pytest.mark.parametrize("key", ["CACHE_DIR", "session.something", "a" * 5000])
def test_a_setting_that_ftc_does_not_make_is_refused(artifact: Artifact, key: str) -> None:
    run = artifact.manifest.run
    settings = {**run.session_config, key: "/tmp/elsewhere"}
    tampered = replace(artifact.manifest, run=replace(run, session_config=settings))
    with pytest.raises(InputError, match="does not pass on"):
        open_session(Artifact(artifact.path, tampered))


@pytest.mark.parametrize("lengths", ["", "a", "0", "-1", "1.5", "16,,32", "32,16", "16,16", "9" * 30])
def test_lengths_that_make_no_sense_are_refused(artifact: Artifact, lengths: str) -> None:
    run = artifact.manifest.run
    if "lengths" not in run.session_config:
        pytest.skip(f"{run.runtime} has no length buckets")
    settings = {**run.session_config, "lengths": lengths}
    tampered = replace(artifact.manifest, run=replace(run, session_config=settings))
    with pytest.raises(InputError, match="lengths"):
        open_session(Artifact(artifact.path, tampered))
