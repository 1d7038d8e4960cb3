"""What is measured: artifacts of a directory or by name, with the checkpoint they come from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.candidates import select
from ftc.artifact import Artifact
from ftc.errors import InputError


def test_every_artifact_of_a_directory_is_taken_with_its_root_first(
    text_onnx: Artifact, text_int8: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for artifact in (text_onnx, text_int8):
        shutil.copytree(artifact.path, tmp_path / artifact.path.name)
    chosen = select([], tmp_path)
    assert [a.manifest.format for a in chosen] == ["huggingface", "onnx", "onnx"]
    assert chosen[0].manifest.id == text_onnx.manifest.root_id
    assert capsys.readouterr().err == ""
    assert len(select([tmp_path / text_onnx.path.name], tmp_path)) == 2
    assert capsys.readouterr().err == f"{chosen[0].path}, the checkpoint, is measured as well, to compare with\n"
    copy = tmp_path / text_onnx.path.name
    assert [a.path for a in select([text_onnx.path, copy], tmp_path)][1:] == [text_onnx.path]
    assert f"{copy} is left out: it has the same id as {text_onnx.path}" in capsys.readouterr().err
    with pytest.raises(InputError, match="holds no artifacts"):
        select([], tmp_path / "nothing")


def test_different_roots_are_listed_and_refused(text_onnx: Artifact, image_onnx: Artifact) -> None:
    with pytest.raises(InputError, match="different checkpoints") as caught:
        select([text_onnx.path, image_onnx.path], Path("artifacts"))
    assert "tiny-bert" in str(caught.value)
    assert "tiny-resnet" in str(caught.value)


def test_a_root_that_moved_or_changed_is_said(
    text_onnx: Artifact,
    text_checkpoint: Path,
    image_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = Path(shutil.copytree(text_onnx.path, tmp_path / "copy"))
    manifest = (copy / "ftc.json").read_text()
    (copy / "ftc.json").write_text(manifest.replace(str(text_checkpoint.resolve()), str(tmp_path / "gone")))
    assert len(select([copy], tmp_path)) == 1
    assert "no longer at" in capsys.readouterr().err
    assert len(select([copy], tmp_path, root=text_checkpoint)) == 2
    changed = Path(shutil.copytree(text_checkpoint, tmp_path / "gone"))
    config = (changed / "config.json").read_text()
    (changed / "config.json").write_text(config.replace('"negative"', '"bad"'))
    assert len(select([copy], tmp_path)) == 1
    assert "was changed since" in capsys.readouterr().err
    with pytest.raises(InputError, match="is not the checkpoint"):
        select([copy], tmp_path, root=changed)
