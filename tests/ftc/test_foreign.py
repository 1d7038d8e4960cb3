"""Model files of other programs: made here by the raw libraries, opened as roots, measured beside a family."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.candidates import select
from bench.run import Options, bench
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset
from ftc.declared import Declared
from ftc.errors import InputError
from ftc.preprocessing import ImagePreprocessing
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task
from tests.conftest import IMAGE_LABELS, TEXT_LABELS, save_keras_model

onnx = pytest.importorskip("onnx", reason="ONNX files need onnx: pip install -c constraints.txt -e '.[onnx]'")

IMAGES = Declared(labels=IMAGE_LABELS, processor="raw")
SIZE = 8
Kind = Any


def image_file(
    path: Path,
    *,
    kind: Kind = np.float32,
    batch: int | str = "n",
    layout: str = "NCHW",
    softmax: bool = False,
    classes: int = 3,
    output: str = "y",
    quantized: tuple[float, int] | None = None,
) -> Path:
    """An ONNX classifier on the mean of each colour, so that its answers are known: `expected` computes them."""
    from onnx import TensorProto, helper, numpy_helper

    shape = [batch, 3, SIZE, SIZE] if layout == "NCHW" else [batch, SIZE, SIZE, 3]
    stored = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    computing = np.float16 if kind == np.float16 else np.float32
    head = np.resize(np.eye(3), (3, classes)).astype(computing) / computing(100)
    weights = [numpy_helper.from_array(head, "head")]
    if quantized is not None:
        scale, zero = quantized
        weights += [
            numpy_helper.from_array(np.float32(scale), "scale"),
            numpy_helper.from_array(np.array(zero, kind), "zero"),
        ]
        nodes = [helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["pixels"])]
    else:
        nodes = [helper.make_node("Cast", ["x"], ["pixels"], to=helper.np_dtype_to_tensor_dtype(np.dtype(computing)))]
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    weights.append(numpy_helper.from_array(np.array(axes, np.int64), "axes"))
    nodes += [
        helper.make_node("ReduceMean", ["pixels", "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "head"], ["scores" if softmax else output]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], [output], axis=-1))
    answers = TensorProto.FLOAT16 if computing == np.float16 else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", stored, shape)],
        [helper.make_tensor_value_info(output, answers, [batch, classes])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def expected(images: list[np.ndarray]) -> np.ndarray:
    """What `image_file` answers to square images of its own size, (N, 3)."""
    return np.stack([image.astype(np.float32).mean((0, 1)) / 100 for image in images])


@pytest.fixture
def squares() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in range(5)]


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"layout": "NHWC"},
        {"batch": 1},
        {"batch": 4},
        {"kind": np.float16},
        {"kind": np.uint8, "layout": "NHWC"},
        {"kind": np.uint8, "quantized": (1.0, 0)},
        {"kind": np.int8, "quantized": (1.0, -128)},
    ],
    ids=str,
)
def test_whatever_it_takes_it_answers_what_was_computed_by_hand(
    made: dict[str, Any], squares: list[np.ndarray], tmp_path: Path
) -> None:
    artifact = open_any(image_file(tmp_path / "m.onnx", **made), IMAGES)
    task, session = open_task(artifact), open_session(artifact)
    answer = session.run(task.encode(squares))["logits"]
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, expected(squares), rtol=5e-3 if made.get("kind") == np.float16 else 1e-5)
    alone = np.concatenate([session.run(task.encode([image]))["logits"] for image in squares])
    np.testing.assert_allclose(alone, answer, rtol=1e-6)


def test_a_file_is_a_root_of_its_own_opened_in_place(tmp_path: Path) -> None:
    path = image_file(tmp_path / "m.onnx")
    artifact = open_any(path, IMAGES)
    manifest = artifact.manifest
    assert manifest.is_root
    assert manifest.format == "onnx"
    assert manifest.facts.size_bytes == path.stat().st_size
    assert artifact.model_path == path.resolve()
    assert manifest.id == open_any(path, IMAGES).manifest.id
    assert manifest.id != open_any(path, replace(IMAGES, processor="tf")).manifest.id
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"], "nothing is written beside it"


def test_probabilities_are_recognised_by_what_it_answers(squares: list[np.ndarray], tmp_path: Path) -> None:
    artifact = open_any(image_file(tmp_path / "m.onnx", softmax=True), IMAGES)
    assert artifact.manifest.output == "probabilities"
    task = open_task(artifact)
    (answer, *_) = task.decode(open_session(artifact).run(task.encode(squares)))
    shares = np.exp(expected(squares)[0])
    assert answer.scores[IMAGE_LABELS[0]] == pytest.approx(float(shares[0] / shares.sum()), rel=1e-4)


@pytest.mark.parametrize(
    ("made", "declared", "says"),
    [
        ({"classes": 4}, IMAGES, "background class"),
        ({"classes": 5}, IMAGES, r"no output of shape \(batch, 3\)"),
        ({"kind": np.uint8}, replace(IMAGES, processor="tf"), "--processor raw"),
        ({"kind": np.int8}, IMAGES, "cannot tell what they stand for"),
        ({}, Declared(processor="raw"), "--labels"),
        ({}, Declared(labels=IMAGE_LABELS), "--processor"),
        ({}, replace(IMAGES, task="text-classification"), "takes images"),
        ({}, replace(IMAGES, tokenizer=Path("x")), "leave out --tokenizer"),
    ],
)
def test_what_does_not_fit_is_refused(made: dict[str, Any], declared: Declared, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        open_any(image_file(tmp_path / "m.onnx", **made), declared)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = image_file(tmp_path / "m.onnx").read_bytes()
    for name, content in (("cut.onnx", whole[: len(whole) // 2]), ("empty.onnx", b""), ("noise.onnx", b"\7" * 500)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            open_any(tmp_path / name, IMAGES)


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    path = image_file(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.node[1].op_type = "Fancy"
    onnx.save(model, path)
    with pytest.raises(InputError, match="Fancy"):
        open_any(path, IMAGES)


def external(path: Path, location: str) -> Path:
    """Let the head's weights lie in another file."""
    model = onnx.load(image_file(path))
    (head,) = [tensor for tensor in model.graph.initializer if tensor.name == "head"]
    onnx.external_data_helper.set_external_data(head, location, offset=0, length=36)
    content = bytes(head.raw_data)
    head.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    (path.parent / "weights.bin").write_bytes(content)
    return path


def test_weights_beside_it_belong_to_it(squares: list[np.ndarray], tmp_path: Path) -> None:
    path = external(tmp_path / "m.onnx", "weights.bin")
    artifact = open_any(path, IMAGES)
    assert artifact.manifest.facts.size_bytes == path.stat().st_size + 36
    task = open_task(artifact)
    np.testing.assert_allclose(open_session(artifact).run(task.encode(squares))["logits"], expected(squares), rtol=1e-5)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 20)
    with pytest.raises(InputError, match="copied in part"):
        open_any(path, IMAGES)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match="missing"):
        open_any(path, IMAGES)


def test_weights_elsewhere_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 64)
    (tmp_path / "inside" / "link.bin").symlink_to(tmp_path / "secret.bin")
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin"):
        with pytest.raises(InputError, match="outside the directory"):
            open_any(external(tmp_path / "inside" / "m.onnx", location), IMAGES)


def text_file(checkpoint: Path, path: Path, *, length: int | None, names: tuple[str, ...], ids: Kind) -> Path:
    """The exported checkpoint under other names, with ids of another type, and one length alone."""
    model = onnx.load(checkpoint)
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(ids))
    casts = []
    for value, name in zip(model.graph.input, names, strict=True):
        casts.append(onnx.helper.make_node("Cast", [name], [value.name], to=onnx.TensorProto.INT64))
        value.name, value.type.tensor_type.elem_type = name, kind
        if length is not None:
            value.type.tensor_type.shape.dim[0].dim_value = 1
            value.type.tensor_type.shape.dim[1].dim_value = length
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    del model.graph.value_info[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("length", [None, 24])
@pytest.mark.parametrize("names", [("input_word_ids", "segment_ids", "input_mask")])
def test_texts_in_other_names_types_and_a_fixed_length(
    text_onnx: Artifact, text_checkpoint: Path, length: int | None, names: tuple[str, ...], tmp_path: Path
) -> None:
    assert [spec.name for spec in text_onnx.manifest.inputs] == ["input_ids", "token_type_ids", "attention_mask"]
    path = text_file(text_onnx.model_path, tmp_path / "m.onnx", length=length, names=names, ids=np.int32)
    artifact = open_any(path, Declared(labels=TEXT_LABELS, tokenizer=text_checkpoint))
    assert artifact.manifest.inputs[0].dtype == "int32"
    texts = ["good", "the battery arrived early", ("good film", "slow delivery")]
    answers = open_session(artifact).run(open_task(artifact).encode(texts))["logits"]
    reference = open_session(text_onnx).run(open_task(text_onnx).encode(texts))["logits"]
    np.testing.assert_allclose(answers, reference, atol=1e-4)
    long = open_session(artifact).run(open_task(artifact).encode(["good film " * 40]))["logits"]
    assert long.shape == (1, 2), "cut to what the file takes"


def test_inputs_without_meaning_are_taken_in_order_or_refused(
    text_onnx: Artifact, text_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Declared(labels=TEXT_LABELS, tokenizer=text_checkpoint / "tokenizer.json")
    path = tmp_path / "m.onnx"
    open_any(text_file(text_onnx.model_path, path, length=None, names=("a", "b", "c"), ids=np.int64), said)
    assert "a as input_ids, b as attention_mask" in capsys.readouterr().err
    text_file(text_onnx.model_path, path, length=None, names=("input_ids", "b", "c"), ids=np.int64)
    with pytest.raises(InputError, match="cannot tell what they are"):
        open_any(path, said)


@pytest.mark.parametrize("quantized", [False, True])
def test_tflite_files_with_their_own_quantization(quantized: bool, tmp_path: Path) -> None:
    tf = pytest.importorskip(
        "tensorflow", reason="making TFLite files needs TensorFlow: pip install -c constraints.txt -e '.[keras]'"
    )
    import keras

    path = save_keras_model(tmp_path / "m.keras")
    model = keras.models.load_model(path, compile=False)
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(8)]
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None].astype(np.float32) / 127.5 - 1] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    file = tmp_path / "m.tflite"
    file.write_bytes(converter.convert())
    artifact = open_any(file, Declared(labels=IMAGE_LABELS, processor="tf"))
    assert artifact.manifest.output == "probabilities"
    assert artifact.manifest.inputs[0].dtype == ("uint8" if quantized else "float32")
    assert (artifact.manifest.inputs[0].scale is not None) == quantized
    answers = open_session(artifact).run(open_task(artifact).encode(images))["probabilities"]
    reference = model.predict(np.stack(images).astype(np.float32) / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(answers, reference, atol=0.05 if quantized else 1e-4)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(InputError, match="LiteRT cannot open it"):
        open_any(file, Declared(labels=IMAGE_LABELS, processor="tf"))


def test_openvino_files_without_names(squares: list[np.ndarray], tmp_path: Path) -> None:
    ov = pytest.importorskip(
        "openvino", reason="OpenVINO IR needs OpenVINO: pip install -c constraints.txt -e '.[openvino]'"
    )
    model = ov.convert_model(image_file(tmp_path / "m.onnx"))
    for port in (*model.inputs, *model.outputs):
        port.tensor.set_names(set())
    ov.save_model(model, tmp_path / "m.xml")
    artifact = open_any(tmp_path / "m.xml", IMAGES)
    task = open_task(artifact)
    session = open_session(artifact)
    assert session.conditions()["inference_precision"] == "f32", "also on processors that have bfloat16"
    answers = session.run(task.encode(squares))["logits"]
    np.testing.assert_allclose(answers, expected(squares), rtol=2e-2)  # save_model halves the weights' precision
    (tmp_path / "m.bin").unlink()
    with pytest.raises(InputError, match=r"m\.bin, are missing"):
        open_any(tmp_path / "m.xml", IMAGES)


def test_beside_a_family_it_takes_what_is_not_declared_from_it(
    text_onnx: Artifact, text_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = Path(shutil.copyfile(text_onnx.model_path, tmp_path / "other.onnx"))
    chosen = select([copied, text_onnx.path], tmp_path)
    assert "labels and tokenizer of the model files taken from" in capsys.readouterr().err
    assert [artifact.manifest.name for artifact in chosen] == ["tiny-bert", "tiny-bert-onnx", "other.onnx"]
    board = bench(chosen, data=text_data, options=Options(threads=1, time_budget_s=0.3))
    rows = {standing.candidate.name: standing for standing in board.standings}
    assert rows["other.onnx"].metrics == rows["tiny-bert-onnx"].metrics
    assert [row.candidate.name for row in rows.values() if row.candidate.is_root] == ["tiny-bert"]
    assert [row.candidate.name for row in rows.values() if row.candidate.is_float_onnx] == ["tiny-bert-onnx"]


def test_among_files_alone_the_first_named_is_the_reference(
    squares: list[np.ndarray], image_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [image_file(tmp_path / "first.onnx"), image_file(tmp_path / "second.onnx", batch=1)]
    chosen = select(paths, tmp_path, declared=IMAGES)
    assert "first.onnx, the first named" in capsys.readouterr().err
    board = bench(chosen, data=image_data, options=Options(threads=1, time_budget_s=0.3))
    root = {standing.candidate.name: standing.candidate.is_root for standing in board.standings}
    assert root == {"first.onnx": True, "second.onnx": False}
    assert all(standing.drop_points == 0 for standing in board.standings)


def test_raw_pixels_are_resized_like_those_of_the_family(
    image_onnx: Artifact, squares: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = image_onnx.manifest.preprocessing
    assert isinstance(spec, ImagePreprocessing)
    small = replace(spec, resize=replace(spec.resize, height=SIZE, width=SIZE), height=SIZE, width=SIZE)
    artifact = open_any(
        image_file(tmp_path / "m.onnx", kind=np.uint8), Declared(labels=IMAGE_LABELS, preprocessing=small)
    )
    assert "takes pixels as they are" in capsys.readouterr().err
    answers = open_session(artifact).run(open_task(artifact).encode(squares))["logits"]
    np.testing.assert_allclose(answers, expected(squares), rtol=1e-5)


def test_other_labels_are_not_compared(image_onnx: Artifact, tmp_path: Path) -> None:
    path = image_file(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="in another order"):
        select([image_onnx.path, path], tmp_path, declared=replace(IMAGES, labels=IMAGE_LABELS[::-1]))


@pytest.mark.parametrize("refused", ["quantize", "export", "package", "serve"])
def test_what_is_only_for_models_of_ftc_says_so(refused: str, tmp_path: Path, command: Callable[..., str]) -> None:
    assert "did not make" in command(refused, str(image_file(tmp_path / "m.onnx")))


@pytest.fixture
def command() -> Callable[..., str]:
    """Runs a command that is to be refused, and gives its message."""
    from click.testing import CliRunner

    from ftc.cli import main

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == 2
        return result.output

    return run
