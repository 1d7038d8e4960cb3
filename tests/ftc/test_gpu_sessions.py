"""What a GPU's sessions do that needs no GPU: precisions, replaying by shape, providers, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compress.apply import apply
from compress.steps import STEPS
from ftc.artifact import Artifact
from ftc.data import Dataset
from ftc.errors import InputError
from ftc.huggingface.model import load_model
from ftc.runtimes.cuda_graphs import Call, Recorded, Replayed, Tensors
from ftc.runtimes.onnx_cuda import CUDA, TENSORRT, providers
from ftc.runtimes.onnx_int8 import int8_operators
from ftc.runtimes.session import SessionOptions, open_session
from ftc.runtimes.torch_cuda import TorchCuda
from ftc.runtimes.variant import Variant
from ftc.tasks.task import open_task

ON_GPU = SessionOptions(threads=1, device="cuda")
TEXTS = ["good film", "how is the battery", "i would not recommend this"]


def here(root: Artifact, name: str) -> TorchCuda:
    """A GPU's session on this processor."""
    return TorchCuda(load_model(root), root.manifest, Variant.named(name), torch.device("cpu"))


def fake_recorder(recorded: list[tuple[int, ...]]) -> Any:
    """What records a call by remembering it; a real graph reads its inputs when it is replayed, too."""

    def record(call: Call, inputs: Tensors) -> Recorded:
        recorded.append(tuple(next(iter(inputs.values())).shape))
        output = call(inputs).clone()

        def replay() -> None:
            output.copy_(call(inputs))

        return Recorded(inputs, output, replay)

    return record


@pytest.mark.parametrize(("precision", "atol"), [("fp32", 1e-5), ("bf16", 0.1), ("fp16", 0.02)])
@pytest.mark.parametrize("root", ["text_root", "image_root"])
def test_answers_agree_within_the_precision(
    precision: str, atol: float, root: str, request: pytest.FixtureRequest, image_data: Dataset
) -> None:
    artifact: Artifact = request.getfixturevalue(root)
    task = open_task(artifact)
    inputs = task.encode(TEXTS if root == "text_root" else image_data.examples[:3])
    expected = open_session(artifact).run(inputs)["logits"]
    session = here(artifact, f"{precision}-eager")
    answers = session.run(inputs)["logits"]
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=atol * max(1.0, np.abs(expected).max()))
    said = session.conditions()
    assert (said["dtype"], said["way"], said["tf32"]) == (str(session._type)[6:], "eager", "off")
    if precision != "fp32":
        assert not np.array_equal(answers, expected)


def test_a_graph_is_recorded_for_each_shape_and_replayed_with_new_values() -> None:
    recorded: list[tuple[int, ...]] = []
    replayed = Replayed(lambda tensors: tensors["x"] * 2, fake_recorder(recorded))
    for rows, value in ((1, 1.0), (2, 5.0), (1, 3.0), (2, -1.0)):
        answer = replayed({"x": torch.full((rows, 3), value)})
        assert answer.tolist() == [[2 * value] * 3] * rows
    assert recorded == [(1, 3), (2, 3)]


def test_replayed_texts_are_padded_to_few_lengths(text_root: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[tuple[int, ...]] = []
    monkeypatch.setattr("ftc.runtimes.torch_cuda.recorder", lambda: fake_recorder(recorded))
    session, plain, task = here(text_root, "fp32-graph"), open_session(text_root), open_task(text_root)
    for words in (1, 7, 15, 25, 40, 59):
        inputs = task.encode(["good " * words])
        np.testing.assert_allclose(session.run(inputs)["logits"], plain.run(inputs)["logits"], atol=1e-4)
    assert recorded == [(1, 16), (1, 32), (1, 64)]


def test_without_a_gpu_pytorch_says_what_is_missing(text_root: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=r"PyTorch .* finds no GPU"):
        open_session(text_root, ON_GPU)


@pytest.mark.parametrize("step", ["dynamic", "static"])
def test_int8_made_for_cpus_is_refused_with_the_reason(
    step: str, text_onnx: Artifact, text_int8: Artifact, text_data: Dataset, tmp_path: Path
) -> None:
    int8 = text_int8
    if step == "static":
        int8 = apply(STEPS.load("quantize-onnx-static")(), text_onnx, tmp_path / "int8", data=text_data)
    assert int8_operators(int8.model_path)
    with pytest.raises(InputError, match=r"INT8 made for CPUs.*QuantizeLinear.*--device cpu"):
        open_session(int8, ON_GPU)


def test_a_float_file_has_no_int8_operators_and_wants_the_gpus_package(text_onnx: Artifact, tmp_path: Path) -> None:
    import onnxruntime

    assert int8_operators(text_onnx.model_path) == ()
    (tmp_path / "broken.onnx").write_bytes(b"\xff" * 100)
    assert int8_operators(tmp_path / "broken.onnx") == ()
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has GPUs")
    with pytest.raises(InputError, match="onnxruntime-gpu in place of onnxruntime"):
        open_session(text_onnx, ON_GPU)


def test_tensorrt_is_told_the_shapes_it_must_be_ready_for(text_onnx: Artifact, image_onnx: Artifact) -> None:
    ((name, settings), (second, _)) = providers(text_onnx.manifest, Variant.named("fp16-tensorrt"))
    assert (name, second) == (TENSORRT, CUDA)
    assert settings["trt_fp16_enable"] == "1"
    shapes = settings["trt_profile_max_shapes"].split(",")
    assert {shape.partition(":")[0] for shape in shapes} == {spec.name for spec in text_onnx.manifest.inputs}
    assert {shape.partition(":")[2] for shape in shapes} == {"64x64"}
    ((_, settings), _) = providers(image_onnx.manifest, Variant.named("fp32-tensorrt"))
    assert settings["trt_profile_min_shapes"] == "pixel_values:1x3x32x32"
    assert "trt_fp16_enable" not in settings
    ((name, settings),) = providers(text_onnx.manifest, Variant.named("fp32-cuda"))
    assert (name, settings["use_tf32"]) == (CUDA, "0")


def test_runtimes_without_gpus_say_so(text_tflite: Artifact) -> None:
    with pytest.raises(InputError, match="runs on cpu, not on 'cuda'"):
        open_session(text_tflite, ON_GPU)


def test_a_model_file_of_another_program_is_not_run_on_the_cpu_instead(text_onnx: Artifact) -> None:
    manifest = text_onnx.manifest
    foreign = Artifact(text_onnx.path, replace(manifest, lineage=(replace(manifest.lineage[0], format="onnx"),)))
    with pytest.raises(InputError, match="on the CPU alone"):
        open_session(foreign, ON_GPU)
