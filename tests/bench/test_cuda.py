"""`ftc bench --device cuda` on a real GPU; the rest of it is tested without one in test_on_gpu.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.run import Options, bench
from bench.variants import variants
from ftc.artifact import Artifact
from ftc.data import Dataset
from ftc.gpu import listed
from ftc.runtimes.session import SessionOptions, open_session
from ftc.runtimes.variant import ON_CUDA, Variant
from ftc.tasks.task import open_task

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
if not (listed() and torch.cuda.is_available()):
    pytest.skip("needs an NVIDIA GPU, its driver, and a PyTorch built for CUDA", allow_module_level=True)

TOLERANCE = {"fp32": 1e-3, "fp16": 3e-2, "bf16": 2e-1}
"""Of a logit, as a share of the largest."""


def on_gpu(variant: Variant) -> SessionOptions:
    return SessionOptions(threads=1, device="cuda", variant=variant)


@pytest.mark.parametrize("variant", ON_CUDA["torch"], ids=str)
@pytest.mark.parametrize("root", ["text_root", "image_root"])
def test_each_variant_answers_as_the_cpu_does(
    variant: Variant, root: str, request: pytest.FixtureRequest, image_data: Dataset, text_data: Dataset
) -> None:
    artifact: Artifact = request.getfixturevalue(root)
    task, examples = open_task(artifact), (text_data if root == "text_root" else image_data).examples
    plain, session = open_session(artifact), open_session(artifact, on_gpu(variant))
    for rows in (examples[:1], examples[1:2], examples[:3]):
        inputs = task.encode(rows)
        expected, answers = plain.run(inputs)["logits"], session.run(inputs)["logits"]
        assert answers.dtype == np.float32
        np.testing.assert_allclose(
            answers, expected, rtol=0, atol=TOLERANCE[variant.precision] * max(1.0, float(np.abs(expected).max()))
        )


def test_onnx_runtimes_providers_answer_as_the_cpu_does(text_onnx: Artifact, text_data: Dataset) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no CUDA provider: install onnxruntime-gpu")
    inputs = open_task(text_onnx).encode(text_data.examples[:3])
    expected = open_session(text_onnx).run(inputs)["logits"]
    for variant in variants(text_onnx, "cuda"):
        assert variant is not None
        session = open_session(text_onnx, on_gpu(variant))
        assert "CUDAExecutionProvider" in session.conditions()["providers"]
        tolerance = TOLERANCE[variant.precision] if variant.is_exact else TOLERANCE["fp16"]
        np.testing.assert_allclose(session.run(inputs)["logits"], expected, rtol=0, atol=tolerance)


def test_a_whole_run(text_root: Artifact, text_int8: Artifact, text_data: Dataset, tmp_path: Path) -> None:
    options = Options(threads=1, time_budget_s=2, device="cuda")
    path = tmp_path / "bench-cuda.jsonl"
    board = bench([text_root, text_int8], data=text_data, options=options, results_path=path)
    assert board.conditions.gpu is not None
    assert board.winner is not None
    rows = {standing.candidate.variant: standing for standing in board.standings}
    assert set(rows) == {*map(str, ON_CUDA["torch"]), "fp32-cuda"}
    assert "INT8 made for CPUs" in rows.pop("fp32-cuda").reason
    for name, standing in rows.items():
        assert standing.verdict != "failed", (name, standing.reason)
        assert standing.p50_ns is not None
        assert standing.p50_ns > 0
        assert standing.peak_gpu_bytes is not None
        assert standing.peak_gpu_bytes > 0
        assert standing.label_agreement is not None
        assert standing.label_agreement > 0.9
