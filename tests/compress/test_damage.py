"""Artifacts whose files were changed after they were made: refused with a reason, and nothing is sealed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from compress import parity
from compress.apply import apply
from compress.steps import STEPS
from compress.verbs import quantize
from ftc import golden
from ftc.artifact import Artifact
from ftc.data import Dataset
from ftc.errors import FtcError, InputError, ParityError, RunError

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"


def changed(source: Artifact, place: Path, name: str, content: bytes) -> Artifact:
    """A copy of an artifact with other content in one file, opened without looking at sizes."""
    copy = Path(shutil.copytree(source.path, place / "copy"))
    (copy / name).write_bytes(content)
    return Artifact(copy, source.manifest)


def another_model(answer: str) -> bytes:
    """A model of the text model's inputs whose output of that name is the token ids."""
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "token_type_ids", "attention_mask")
    ]
    output = onnx.helper.make_tensor_value_info(answer, onnx.TensorProto.FLOAT, ["batch", "length"])
    node = onnx.helper.make_node("Cast", ["input_ids"], [answer], to=onnx.TensorProto.FLOAT)
    graph = onnx.helper.make_graph([node], "other", inputs, [output])
    opset = onnx.helper.make_opsetid("", 17)
    content: bytes = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    return content


@pytest.mark.parametrize("mode", ["dynamic", "static"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an ONNX file"),
        (b"\xff" * 5000, "not an ONNX file"),
        (b'{"version": "1.0"}', "not an ONNX file"),
        (another_model("scores"), "has no output 'logits'|no float tensor"),
        (another_model("logits"), "that of another model|no float tensor"),
    ],
)
def test_a_model_file_that_is_another(
    text_onnx: Artifact, text_data: Dataset, tmp_path: Path, mode: str, content: bytes, message: str
) -> None:
    source = changed(text_onnx, tmp_path, MODEL, content)
    with pytest.raises(FtcError, match=message):
        quantize(source, tmp_path / "out", mode=mode, data=text_data if mode == "static" else None)  # type: ignore[arg-type]
    assert not list((tmp_path / "out").glob("*"))


def test_a_model_file_cut_short(text_onnx: Artifact, tmp_path: Path) -> None:
    content = (text_onnx.path / MODEL).read_bytes()
    source = changed(text_onnx, tmp_path, MODEL, content[: len(content) // 2])
    with pytest.raises(InputError, match=r"model\.onnx: not an ONNX file that can be read"):
        quantize(source, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe{}"])
def test_a_tokenizer_that_is_none(text_onnx: Artifact, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.json: no tokenizer that can be read"):
        quantize(changed(text_onnx, tmp_path, TOKENIZER, content), tmp_path / "out")


def test_a_tokenizer_without_its_unknown_token(text_onnx: Artifact, tmp_path: Path) -> None:
    tokenizer = json.loads((text_onnx.path / TOKENIZER).read_text())
    tokenizer["model"]["unk_token"] = "[NOWHERE]"
    source = changed(text_onnx, tmp_path, TOKENIZER, json.dumps(tokenizer).encode())
    with pytest.raises(InputError, match="the tokenizer cannot take these texts"):
        quantize(source, tmp_path / "out")


def test_a_tokenizer_with_tokens_that_the_model_has_not(text_onnx: Artifact, tmp_path: Path) -> None:
    tokenizer = json.loads((text_onnx.path / TOKENIZER).read_text())
    tokenizer["model"]["vocab"] = {word: number + 10**5 for word, number in tokenizer["model"]["vocab"].items()}
    source = changed(text_onnx, tmp_path, TOKENIZER, json.dumps(tokenizer).encode())
    with pytest.raises(RunError, match=r"model\.onnx: ONNX Runtime cannot run it on input_ids"):
        quantize(source, tmp_path / "out")


def test_settings_that_the_runtime_does_not_take(text_onnx: Artifact, tmp_path: Path) -> None:
    run = replace(text_onnx.manifest.run, session_config={"": ""})
    source = Artifact(text_onnx.path, replace(text_onnx.manifest, run=run))
    with pytest.raises(InputError, match="does not pass on"):
        quantize(source, tmp_path / "out")


def test_preprocessing_of_another_task(text_onnx: Artifact, tmp_path: Path) -> None:
    source = Artifact(text_onnx.path, replace(text_onnx.manifest, task="image-classification"))
    with pytest.raises(InputError, match="its task is image-classification, its preprocessing is for texts"):
        apply(STEPS.load("quantize-onnx-dynamic")(), source, tmp_path / "out")


@pytest.mark.parametrize("lossy", [False, True])
def test_answers_that_are_not_finite_are_refused_for_every_step(
    text_onnx: Artifact, tmp_path: Path, lossy: bool
) -> None:
    model = onnx.load(text_onnx.path / MODEL)
    (weight,) = [weight for weight in model.graph.initializer if weight.name == "classifier.weight"]
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full(tuple(weight.dims), np.nan, np.float32), weight.name))
    broken = changed(text_onnx, tmp_path, MODEL, model.SerializeToString())
    kept = golden.read(text_onnx.path)
    with pytest.raises(ParityError, match="not all finite numbers"):
        parity.compare(broken, kept.examples, kept.expected, lossy=lossy)


def test_the_source_is_never_the_target(text_onnx: Artifact, text_checkpoint: Path) -> None:
    for target in (text_onnx.path, text_checkpoint):
        before = sorted(path.name for path in target.iterdir())
        with pytest.raises(InputError, match="is what the result would be made of"):
            quantize(text_onnx, target.parent, output=target, force=True)
        assert sorted(path.name for path in target.iterdir()) == before
