"""Sealing: complete under the final name or not there at all."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ftc import artifact as artifacts
from ftc import manifest as manifests
from ftc.artifact import content_id, draft, find_artifacts, open_artifact, seal
from ftc.errors import InputError, RunError
from ftc.manifest import Ancestor, Facts, Manifest, RunInstructions, TensorSpec
from ftc.preprocessing import ImagePreprocessing, Resize


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        id="abc",
        name="thing-onnx",
        format="onnx",
        task="image-classification",
        labels=("a", "b"),
        preprocessing=ImagePreprocessing(
            "pixel_values",
            Resize(2, shortest_edge=8),
            (8, 8),
            False,
            1 / 255,
            0.0,
            (0.5,) * 3,
            (0.5,) * 3,
            8,
            8,
        ),
        lineage=(Ancestor("root", "thing", "huggingface", None), Ancestor("abc", "thing-onnx", "onnx", None)),
        root_path="/nowhere",
        inputs=(TensorSpec("pixel_values", "float32", ("batch", 3, 8, 8)),),
        outputs=(TensorSpec("logits", "float32", ("batch", 2)),),
        run=RunInstructions("onnxruntime", "model.onnx", {"key": "value"}),
        facts=Facts(1, None, "1 x 3 x 8 x 8 pixels", 5),
    )


def made(target: Path, manifest: Manifest, content: bytes = b"model", **options: bool) -> artifacts.Artifact:
    with draft(target) as directory:
        (directory / "model.onnx").write_bytes(content)
        return seal(directory, target, manifest, **options)


def test_what_is_sealed_reads_back_as_it_was(tmp_path: Path, manifest: Manifest) -> None:
    sealed = made(tmp_path / "out", manifest)
    opened = open_artifact(tmp_path / "out", verify=True)
    assert opened.manifest == sealed.manifest
    assert [(entry.path, entry.size_bytes) for entry in opened.manifest.files] == [("model.onnx", 5)]
    assert replace(opened.manifest, files=()) == manifest
    assert find_artifacts(tmp_path) == (opened,)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), draft(tmp_path / "out") as directory:
        (directory / "model.onnx").write_bytes(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), draft(tmp_path / "out") as directory:
        (directory / "model.onnx").write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), RuntimeError("IoError: No space left on device (os error 28)")],
)
def test_a_full_disk_is_said_plainly(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(RunError, match="no space left on the disk"), draft(tmp_path / "out"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_other_content_is_not_replaced_unless_asked(tmp_path: Path, manifest: Manifest) -> None:
    made(tmp_path / "out", manifest)
    with pytest.raises(InputError, match="--force"):
        made(tmp_path / "out", manifest, b"other")
    assert (tmp_path / "out" / "model.onnx").read_bytes() == b"model"
    made(tmp_path / "out", manifest, b"other", replace_existing=True)
    assert (tmp_path / "out" / "model.onnx").read_bytes() == b"other"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_draft_of_a_killed_process_is_removed_by_the_next_run(tmp_path: Path, manifest: Manifest) -> None:
    abandoned = tmp_path / ".ftc-draft-out-dead"
    abandoned.mkdir()
    (abandoned / "model.onnx").write_bytes(b"half")
    old = time.time() - 60
    os.utime(abandoned, (old, old))
    made(tmp_path / "out", manifest)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_draft_of_a_living_process_is_left_alone(tmp_path: Path, manifest: Manifest) -> None:
    with draft(tmp_path / "first") as directory:
        old = time.time() - 60
        os.utime(directory, (old, old))
        made(tmp_path / "second", manifest)
        assert directory.exists()


def test_what_was_put_aside_by_a_killed_replacement_comes_back(tmp_path: Path, manifest: Manifest) -> None:
    made(tmp_path / "out", manifest)
    (tmp_path / "out").rename(tmp_path / ".ftc-replaced-out")
    made(tmp_path / "second", manifest)
    assert open_artifact(tmp_path / "out").manifest.id == "abc"


def test_a_changed_file_is_noticed(tmp_path: Path, manifest: Manifest) -> None:
    made(tmp_path / "out", manifest)
    (tmp_path / "out" / "model.onnx").write_bytes(b"MODEL")
    open_artifact(tmp_path / "out")
    with pytest.raises(InputError, match=r"model\.onnx does not have the content"):
        open_artifact(tmp_path / "out", verify=True)
    (tmp_path / "out" / "model.onnx").write_bytes(b"short"[:3])
    with pytest.raises(InputError, match="has 3 bytes, its manifest says 5"):
        open_artifact(tmp_path / "out")


def test_a_manifest_that_names_a_file_outside_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "secret").write_text("x")
    run = replace(manifest.run, entry="../secret")
    sealed = made(tmp_path / "out", replace(manifest, run=run))
    with pytest.raises(InputError, match="outside the artifact"):
        _ = sealed.model_path


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', '{"id": "x"}'])
def test_a_broken_manifest_is_an_input_error(tmp_path: Path, text: str) -> None:
    (tmp_path / manifests.FILE_NAME).write_text(text)
    with pytest.raises(InputError, match="not a manifest"):
        open_artifact(tmp_path)


def test_ids_depend_on_everything_that_matters() -> None:
    base = content_id("p", "s@1", {"a": 1, "b": (1, 2)}, None)
    assert base == content_id("p", "s@1", {"b": (1, 2), "a": 1}, None)
    others = {
        content_id("q", "s@1", {"a": 1, "b": (1, 2)}, None),
        content_id("p", "s@2", {"a": 1, "b": (1, 2)}, None),
        content_id("p", "s@1", {"a": 2, "b": (1, 2)}, None),
        content_id("p", "s@1", {"a": 1, "b": (1, 2)}, "data"),
    }
    assert base not in others
    assert len(others) == 4
