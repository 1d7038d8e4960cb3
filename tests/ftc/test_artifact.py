"""Sealing: complete under the final name or not there at all."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ftc import artifact as artifacts
from ftc import manifest as manifests
from ftc.artifact import content_id, draft, find_artifacts, open_artifact, seal
from ftc.errors import InputError, RunError
from ftc.manifest import Ancestor, Facts, Manifest, RunInstructions, StepRecord, TensorSpec
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
        lineage=(
            Ancestor("root", "thing", "huggingface", None),
            Ancestor("abc", "thing-onnx", "onnx", StepRecord("export-onnx", {})),
        ),
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


@pytest.mark.parametrize(("umask", "modes"), [(0o022, (0o755, 0o644)), (0o077, (0o700, 0o600))])
def test_what_is_sealed_may_be_read_by_whom_the_umask_lets(
    tmp_path: Path, manifest: Manifest, umask: int, modes: tuple[int, int]
) -> None:
    before = os.umask(umask)
    try:
        with draft(tmp_path / "out") as directory:
            (directory / "model.onnx").write_bytes(b"model")
            (directory / "model.onnx").chmod(0o600)
            sealed = seal(directory, tmp_path / "out", manifest)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (sealed.path, sealed.model_path)] == list(modes)


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


def edited(directory: Path, path: str, value: object) -> None:
    """Write another value to a sealed manifest, at a path such as ``run.entry`` or ``lineage.1.step``."""
    file = directory / manifests.FILE_NAME
    content = json.loads(file.read_text())
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    place = content
    for part in parents:
        place = place[part]
    place[last] = value
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("lineage", [], "lineage: Tuple should have at least 1 item"),
        ("lineage.1.step", None, "every link of the lineage but the first has a step"),
        ("lineage.0.step", {"name": "x", "options": {}}, "and the first has none"),
        ("lineage.1.id", "other", "the last link of the lineage is not this artifact"),
        ("lineage.0.name", "../../elsewhere", "has_no_slash"),
        ("labels", ["a"], "labels: Tuple should have at least 2 items"),
        ("labels", ["a", "a"], "two labels have the same name"),
        ("labels", ["a", "b", "c"], "the model answers 2 numbers for 3 labels"),
        ("outputs", [], "outputs: Tuple should have at least 1 item"),
        ("facts.parameters", 10**400, "facts: parameters"),
        ("facts.parameters", -1, "facts: parameters"),
        ("facts.size_bytes", 2**63, "facts: size_bytes"),
        ("facts.convolution_share", float("nan"), "facts: convolution_share"),
        ("run.entry", "a\0b", "run: entry: .*has_no_controls"),
        ("run.entry", "", "run: entry"),
        ("name", "a\nb", "name: .*has_no_controls"),
        ("inputs.0.name", "other", "does not make the model's input 'other'"),
        ("inputs.0.shape.1", 2**70, "inputs: 0: shape: 1"),
        ("preprocessing.layout", "NHWC", r"gives images of shape \(8, 8, 3\), the model takes \(3, 8, 8\)"),
        ("preprocessing.kind", "text", "preprocessing: text: max_length"),
        ("preprocessing.resize.resample", 99, "preprocessing: image: resize: resample"),
        ("preprocessing.resize.shortest_edge", 0, "preprocessing: image: resize: shortest_edge"),
        ("preprocessing.resize.shortest_edge", 2_000_000, "preprocessing: image: resize: shortest_edge"),
        ("preprocessing.resize.shortest_edge", None, "resizing needs shortest_edge, or height and width"),
        ("preprocessing.crop", None, "do not give images of 8 x 8"),
        ("preprocessing.crop", [-5, -5], "preprocessing: image: crop"),
        ("preprocessing.mean", [0.5, 0.5], "preprocessing: image: mean"),
        ("preprocessing.std", [0.5, 0.0, 0.5], "preprocessing: image: std"),
        ("preprocessing.std", [0.5, float("inf"), 0.5], "preprocessing: image: std"),
        ("preprocessing.scale", float("nan"), "preprocessing: image: scale"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    tmp_path: Path, manifest: Manifest, path: str, value: object, message: str
) -> None:
    made(tmp_path / "out", manifest)
    edited(tmp_path / "out", path, value)
    with pytest.raises(InputError, match=f"not a manifest this version of ftc can read: .*{message}"):
        open_artifact(tmp_path / "out")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("max_length", 0),
        ("max_length", 2**70),
        ("pad_token_id", -1),
        ("pad_token_id", 2**70),
        ("inputs", []),
        ("inputs", ["attention_mask"]),
        ("inputs", ["input_ids"]),  # the model takes more
        ("inputs", ["input_ids", "token_type_ids", "attention_mask", "evil"]),
    ],
)
def test_text_preprocessing_that_makes_no_sense_is_refused(
    text_onnx: artifacts.Artifact, tmp_path: Path, path: str, value: object
) -> None:
    copy = Path(shutil.copytree(text_onnx.path, tmp_path / "copy"))
    edited(copy, f"preprocessing.{path}", value)
    with pytest.raises(InputError, match="not a manifest"):
        open_artifact(copy)


def test_an_artifact_without_a_step_is_not_taken_for_a_checkpoint(tmp_path: Path, manifest: Manifest) -> None:
    made(tmp_path / "out", manifest)
    edited(tmp_path / "out", "lineage.1", {"id": "abc", "name": "thing-onnx", "format": "onnx", "step": None})
    content = json.loads((tmp_path / "out" / manifests.FILE_NAME).read_text())
    edited(tmp_path / "out", "lineage", content["lineage"][1:])
    with pytest.raises(InputError, match="its lineage names no step"):
        open_artifact(tmp_path / "out")


def test_what_could_not_be_opened_again_is_not_sealed(tmp_path: Path, manifest: Manifest) -> None:
    for labels in (("a", "a"), ("a", "\ud800")):
        with pytest.raises(InputError):
            made(tmp_path / "out", replace(manifest, labels=labels))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("entry", [".", "nothing.onnx", "a" * 300])
def test_an_entry_that_is_no_file_is_refused(tmp_path: Path, manifest: Manifest, entry: str) -> None:
    made(tmp_path / "out", manifest)
    edited(tmp_path / "out", "run.entry", entry)
    with pytest.raises(InputError, match="is missing"):
        _ = open_artifact(tmp_path / "out").model_path


@pytest.mark.parametrize("replace_existing", [False, True])
def test_only_artifacts_are_ever_replaced(tmp_path: Path, manifest: Manifest, replace_existing: bool) -> None:
    made(tmp_path / "made", manifest)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "weights").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "made")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    for name in ("file", "directory", "link", "dangling", "."):
        with pytest.raises(InputError, match=r"no artifact of ftc: nothing is written over it"):
            made(tmp_path / name, manifest, replace_existing=replace_existing)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_a_name_too_long_for_the_file_system_is_said_before_any_work(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(RunError, match="File name too long"):
        made(tmp_path / ("a" * 300), manifest)
    assert list(tmp_path.iterdir()) == []
