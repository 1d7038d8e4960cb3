"""What is made of Keras models: what the files hold, and what they are refused for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.candidates import select
from compress.apply import apply
from compress.route import route
from compress.steps import STEPS
from compress.verbs import export, quantize
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset
from ftc.declared import Declared
from ftc.errors import InputError, RunError
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task
from tests.conftest import IMAGE_LABELS, save_keras_model

keras = pytest.importorskip("keras", reason="Keras models need Keras: pip install -c constraints.txt -e '.[keras]'")
litert = pytest.importorskip(
    "ai_edge_litert.interpreter", reason="TFLite needs LiteRT: pip install -c constraints.txt -e '.[keras]'"
)

DECLARED = Declared(labels=IMAGE_LABELS, processor="tf")


@pytest.fixture(scope="module")
def static(keras_root: Artifact, image_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return apply(STEPS.load("quantize-keras-static")(), keras_root, tmp_path_factory.mktemp("s") / "s", data=image_data)


def agreement(artifact: Artifact, root: Artifact, data: Dataset) -> float:
    examples = [data.examples[row] for row in range(len(data))]
    answers = [open_session(a).run(open_task(a).encode(examples))["probabilities"] for a in (artifact, root)]
    return float((answers[0].argmax(-1) == answers[1].argmax(-1)).mean())


def interpreter(artifact: Artifact) -> Any:
    return litert.Interpreter(model_path=str(artifact.model_path))


def weight_types(artifact: Artifact) -> set[str]:
    return {np.dtype(d["dtype"]).name for d in interpreter(artifact).get_tensor_details() if d["shape"].size == 4}


def test_the_manifest_names_what_the_signature_names(keras_root: Artifact, tmp_path: Path) -> None:
    made = export(keras_root, tmp_path, to="tflite")
    signature = interpreter(made).get_signature_list()["serving_default"]
    assert signature == {"inputs": ["image"], "outputs": ["probabilities"]}
    assert [(s.name, s.dtype, s.shape) for s in made.manifest.inputs] == [("image", "float32", (1, 32, 32, 3))]
    assert [(s.name, s.dtype, s.shape) for s in made.manifest.outputs] == [("probabilities", "float32", (1, 3))]
    assert made.manifest.facts.size_bytes == made.model_path.stat().st_size
    assert made.manifest.facts.multiply_accumulates == keras_root.manifest.facts.multiply_accumulates
    assert made.path.name == "tiny-keras-tflite"


@pytest.mark.parametrize("suffix", [".h5", ""])
def test_other_files_of_keras_are_exported_too(tmp_path: Path, suffix: str) -> None:
    root = open_any(save_keras_model(tmp_path / f"tiny{suffix}"), DECLARED)
    for to in ("tflite", "onnx"):
        assert export(root, tmp_path / "made", to=to).manifest.parity is not None


def test_static_is_int8_throughout(static: Artifact, keras_root: Artifact, image_data: Dataset) -> None:
    assert static.manifest.notes == ()
    assert weight_types(static) == {"int8", "float32"}  # the input and what it is quantized to
    kernels = [d for d in interpreter(static).get_tensor_details() if d["shape"].tolist() == [8, 3, 3, 3]]
    assert [np.dtype(d["dtype"]).name for d in kernels] == ["int8"]
    assert len(kernels[0]["quantization_parameters"]["scales"]) == 8  # one for each output channel
    assert static.manifest.data is not None
    assert static.manifest.data.rows == len(image_data)
    assert agreement(static, keras_root, image_data) >= 0.9


def test_ranges_come_from_the_data(keras_root: Artifact, image_data: Dataset, static: Artifact, tmp_path: Path) -> None:
    few = image_data.sample(2, seed=0)
    other = apply(STEPS.load("quantize-keras-static")(), keras_root, tmp_path / "other", data=few)
    assert other.manifest.id != static.manifest.id
    assert other.model_path.read_bytes() != static.model_path.read_bytes()


def test_integer_inputs_and_outputs(keras_root: Artifact, image_data: Dataset, tmp_path: Path) -> None:
    made = quantize(keras_root, tmp_path, mode="static", given={"integer_io": True}, data=image_data)
    assert made.path.name == "tiny-keras-tflite-static-int8-integer-io"
    details = interpreter(made)
    for spec, detail in (
        (made.manifest.inputs[0], details.get_input_details()[0]),
        (made.manifest.outputs[0], details.get_output_details()[0]),
    ):
        assert spec.dtype == np.dtype(detail["dtype"]).name == "int8"
        assert (spec.scale, spec.zero_point) == pytest.approx(detail["quantization"])
    # a manifest that says otherwise is not believed
    (taken,) = made.manifest.inputs
    assert taken.scale is not None
    for wrong in (
        {"scale": 2 * taken.scale},
        {"scale": None, "zero_point": None},
        {"zero_point": 3},
        {"dtype": "uint8"},
        {"shape": (1, 32, 32, 1)},
    ):
        tampered = replace(made.manifest, inputs=(replace(taken, **wrong),))
        with pytest.raises(InputError, match="Make it again"):
            open_session(Artifact(made.path, tampered))
    # the session takes and gives float32 all the same
    answer = open_session(made).run(open_task(made).encode(open_task(made).golden_examples()))["probabilities"]
    assert answer.dtype == np.float32
    assert agreement(made, keras_root, image_data) >= 0.9


def test_float16_weights_are_half_the_size(tmp_path: Path) -> None:
    path = tmp_path / "wide.keras"
    image = keras.Input((32, 32, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(512, 5)(image))
    hidden = keras.layers.Dense(512, activation="relu")(features)
    keras.Model(image, keras.layers.Dense(3, activation="softmax")(hidden)).save(path)
    root = open_any(path, DECLARED)
    float32 = export(root, tmp_path, to="tflite").manifest.facts.size_bytes
    half = quantize(root, tmp_path, mode="float16").manifest.facts.size_bytes
    assert 0.5 * float32 <= half < 0.53 * float32
    step = STEPS.load("quantize-keras-dynamic")()
    assert apply(step, root, tmp_path / "dynamic").manifest.facts.size_bytes < 0.28 * float32


def test_onnx_takes_any_batch_and_can_be_quantized(keras_root: Artifact, image_data: Dataset, tmp_path: Path) -> None:
    made = export(keras_root, tmp_path, to="onnx")
    assert made.manifest.inputs == keras_root.manifest.inputs
    for rows in (1, 4):
        answer = open_session(made).run({"image": np.zeros((rows, 32, 32, 3), np.float32)})
        assert answer["probabilities"].shape == (rows, 3)
    int8 = quantize(made, tmp_path, mode="static", data=image_data)
    assert agreement(int8, keras_root, image_data) >= 0.9


@pytest.mark.parametrize("to", ["tflite", "onnx"])
def test_an_operator_that_the_format_lacks_is_named(tmp_path: Path, to: str) -> None:
    image = keras.Input((32, 32, 3))
    features = keras.layers.GlobalAveragePooling2D()(image)
    scores = keras.layers.Dense(3, name="head")(keras.ops.erfinv(features * 0.1))
    keras.Model(image, scores).save(tmp_path / "erfinv.keras")
    root = open_any(tmp_path / "erfinv.keras", DECLARED)
    with pytest.raises(RunError, match=r"no operator for Erfinv \(at .*erfinv") as refused:
        export(root, tmp_path / "made", to=to)
    assert "\n" not in str(refused.value)
    assert list((tmp_path / "made").iterdir()) == []


def test_the_ways_from_a_keras_model() -> None:
    assert route("keras", "tflite") == ("export-keras-tflite",)
    assert route("keras", "tflite", "static") == ("quantize-keras-static",)
    assert route("keras", "onnx", "static") == ("export-keras-onnx", "quantize-onnx-static")


def test_a_convolutional_model_is_quantized_statically_to_tflite(
    keras_root: Artifact, image_data: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="give --data DATA"):
        quantize(keras_root, tmp_path)
    made = quantize(keras_root, tmp_path, data=image_data)
    assert made.manifest.lineage[-1].name == "tiny-keras-tflite-static-int8"


def test_bench_opens_the_model_again_with_what_its_artifacts_say(
    keras_root: Artifact, static: Artifact, tmp_path: Path
) -> None:
    found = select((), static.path.parent)
    named = select((static.path, keras_root.path), tmp_path)
    alone = select((keras_root.path,), tmp_path, declared=DECLARED)
    assert [artifact.manifest.id for artifact in found] == [keras_root.manifest.id, static.manifest.id]
    assert {artifact.manifest.id for artifact in named} == {keras_root.manifest.id, static.manifest.id}
    assert [artifact.manifest.id for artifact in alone] == [keras_root.manifest.id]
