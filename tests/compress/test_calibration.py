"""Streamed calibration and the static INT8 model that is made with it, on tiny networks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.calibrate import TensorsData

from compress.calibration import Batch, Method, calibrate, passes
from compress.static_int8 import quantize_static_int8
from ftc.errors import InputError, RunError

IMAGE_OPS = ("Conv", "Relu", "Gemm", "MatMul", "Add")
TEXT_OPS = ("MatMul", "Gemm", "Add")


class Encoder(torch.nn.Module):
    """One attention layer over 16 features; padded positions are masked and left out of the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 16)
        self.query, self.key, self.value, self.out = (torch.nn.Linear(16, 16) for _ in range(4))
        self.classifier = torch.nn.Linear(16, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.embedding(ids)  # (rows, length, 16)
        scores = self.query(hidden) @ self.key(hidden).transpose(1, 2) / 4.0
        scores = scores + (1.0 - mask.float())[:, None, :] * -1e4
        hidden = hidden + self.out(scores.softmax(-1) @ self.value(hidden))
        weight = mask.float()[:, :, None]
        return self.classifier((hidden * weight).sum(1) / weight.sum(1))


@pytest.fixture(scope="module")
def conv_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 1, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 16, 5),
    ).eval()
    path = tmp_path_factory.mktemp("conv") / "model.onnx"
    rows = torch.export.Dim("rows")
    program = torch.onnx.export(
        net,
        (torch.zeros(2, 3, 8, 8),),
        input_names=["pixels"],
        dynamic_shapes=({0: rows},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(path, external_data=True)
    return path


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("encoder") / "model.onnx"
    rows, length = torch.export.Dim("rows"), torch.export.Dim("length")
    axes = {0: rows, 1: length}
    example = (torch.ones(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64))
    program = torch.onnx.export(
        Encoder().eval(),
        example,
        input_names=["ids", "mask"],
        dynamic_shapes=(axes, axes),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(path)
    return path


def pixels(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 3, 8, 8)).astype(np.float32)


def image_batches(values: np.ndarray, size: int) -> list[Batch]:
    return [{"pixels": values[start : start + size]} for start in range(0, len(values), size)]


def text_batches() -> list[Batch]:
    """Three lengths, and a last batch of one real row and three that are all padding but for one token."""
    rng = np.random.default_rng(1)
    batches = []
    for length in (7, 3, 12):
        mask = (np.arange(length) < rng.integers(1, length + 1, (4, 1))).astype(np.int64)
        batches.append({"ids": rng.integers(1, 50, (4, length)) * mask, "mask": mask})
    batches[-1]["mask"][1:, 1:] = 0
    return batches


def ranges_of(data: TensorsData) -> dict[str, tuple[float, float]]:
    return {name: (float(np.ravel(low)[0]), float(np.ravel(high)[0])) for name, (low, high) in bounds(data)}


def bounds(data: TensorsData) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    return ((name, tensor.range_value) for name, tensor in data.items())


def ignore(rows: int) -> None:
    """No progress bar."""


def image_ranges(path: Path, batches: list[Batch], method: Method) -> dict[str, tuple[float, float]]:
    return ranges_of(calibrate(path, batches, method=method, op_types=IMAGE_OPS, percentile=99.0, advance=ignore))


@pytest.mark.parametrize("method", Method)
def test_streamed_ranges_are_those_of_all_rows_at_once(conv_net: Path, method: Method) -> None:
    # the first rows are near zero
    values = pixels(24) * np.geomspace(1e-3, 1, 24, dtype=np.float32)[:, None, None, None]
    at_once = image_ranges(conv_net, image_batches(values, 24), method)
    streamed = image_ranges(conv_net, image_batches(values, 5), method)
    assert at_once.keys() == streamed.keys()
    for name, expected in at_once.items():
        assert streamed[name] == pytest.approx(expected, rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("method", Method)
def test_order_of_batches_does_not_matter(conv_net: Path, method: Method) -> None:
    batches = image_batches(pixels(20), 6)
    assert image_ranges(conv_net, batches, method) == image_ranges(conv_net, batches[::-1], method)


def test_minmax_is_the_extremes_and_the_others_lie_within(conv_net: Path) -> None:
    values = pixels(16)
    batches = image_batches(values, 4)
    extremes = image_ranges(conv_net, batches, Method.MINMAX)
    assert extremes["pixels"] == pytest.approx((values.min(), values.max()))
    for method in (Method.PERCENTILE, Method.ENTROPY):
        inner = image_ranges(conv_net, batches, method)
        assert inner.keys() == extremes.keys()
        for name, (low, high) in inner.items():
            assert extremes[name][0] <= low <= high <= extremes[name][1], name


def test_percentile_keeps_its_share_of_the_values(conv_net: Path) -> None:
    values = pixels(64)
    low, high = image_ranges(conv_net, image_batches(values, 16), Method.PERCENTILE)["pixels"]
    kept = np.mean((values >= low) & (values <= high))
    assert kept == pytest.approx(0.99, abs=0.003)


@pytest.mark.parametrize("method", Method)
def test_lengths_may_vary_and_the_last_batch_be_padded(encoder: Path, method: Method) -> None:
    found = ranges_of(calibrate(encoder, text_batches(), method=method, op_types=TEXT_OPS, advance=ignore))
    assert len(found) > 8
    assert all(np.isfinite(pair).all() and pair[0] <= pair[1] for pair in found.values())


class MadeOnDemand:
    """`count` batches, each made only when it is asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Batch]:
        return ({"pixels": pixels(64, seed)} for seed in range(self.count))


@pytest.mark.parametrize("method", Method)
def test_memory_held_does_not_grow_with_the_number_of_batches(conv_net: Path, method: Method) -> None:
    count = 16
    held_bytes: list[int] = []

    def record(rows: int) -> None:
        held_bytes.append(tracemalloc.get_traced_memory()[0])
        if len(held_bytes) == count * passes(method):
            tracemalloc.stop()  # the search for thresholds that follows would crawl under it

    tracemalloc.start()
    calibrate(conv_net, MadeOnDemand(count), method=method, op_types=IMAGE_OPS, advance=record)
    assert not tracemalloc.is_tracing()
    one_batch_of_one_tensor_bytes = 64 * 8 * 8 * 8 * 4
    assert held_bytes[-1] - held_bytes[-count + 1] < one_batch_of_one_tensor_bytes


@pytest.mark.parametrize("method", Method)
def test_progress_counts_every_row_of_every_pass(conv_net: Path, method: Method) -> None:
    seen: list[int] = []
    calibrate(conv_net, image_batches(pixels(10), 4), method=method, op_types=IMAGE_OPS, advance=seen.append)
    assert seen == [4, 4, 2] * passes(method)


def test_nothing_is_printed_and_nothing_is_left_beside_the_model(
    conv_net: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(conv_net.parent.iterdir())
    image_ranges(conv_net, image_batches(pixels(4), 4), Method.PERCENTILE)
    assert capfd.readouterr().out == ""
    assert sorted(conv_net.parent.iterdir()) == before


def test_an_iterator_is_enough_for_one_pass_and_refused_for_two(conv_net: Path) -> None:
    batches = image_batches(pixels(8), 4)
    once = calibrate(conv_net, iter(batches), method=Method.MINMAX, op_types=IMAGE_OPS, advance=ignore)
    assert ranges_of(once) == image_ranges(conv_net, batches, Method.MINMAX)
    with pytest.raises(InputError, match="reads the batches twice"):
        calibrate(conv_net, iter(batches), method=Method.ENTROPY, op_types=IMAGE_OPS, advance=ignore)


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_what_cannot_be_calibrated_is_refused(conv_net: Path) -> None:
    with pytest.raises(InputError, match="no calibration batches"):
        image_ranges(conv_net, [], Method.MINMAX)
    with pytest.raises(InputError, match="no float tensor"):
        calibrate(conv_net, image_batches(pixels(2), 2), method=Method.MINMAX, op_types=["LSTM"], advance=ignore)
    with pytest.raises(InputError, match="percentile is 0"):
        calibrate(conv_net, [], method=Method.PERCENTILE, op_types=IMAGE_OPS, percentile=0, advance=ignore)
    with pytest.raises(RunError, match="not finite"):
        image_ranges(conv_net, image_batches(pixels(2) * np.float32(np.inf), 2), Method.PERCENTILE)


def test_tensors_behind_an_operator_outside_the_standard_are_calibrated(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "weight")
    graph = helper.make_graph(
        [
            helper.make_node("Gelu", ["x"], ["activated"], domain="com.microsoft"),
            helper.make_node("MatMul", ["activated", "weight"], ["y"], name="product"),
        ],
        "fused",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4])],
        [weight],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "fused.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    batches = [{"x": np.ones((2, 4), np.float32)}]
    found = calibrate(path, batches, method=Method.MINMAX, op_types=["MatMul"], advance=ignore)
    assert set(found.keys()) == {"activated", "y"}


@pytest.fixture
def quantized(conv_net: Path, tmp_path: Path) -> Callable[..., Path]:
    ranges = calibrate(
        conv_net, image_batches(pixels(64), 16), method=Method.MINMAX, op_types=IMAGE_OPS, advance=ignore
    )

    def make(exclude: tuple[str, ...] = ()) -> Path:
        out = tmp_path / "int8.onnx"
        quantize_static_int8(
            conv_net, out, ranges, op_types=IMAGE_OPS, per_channel=True, reduce_range=False, exclude=exclude
        )
        return out

    return make


def test_static_model_follows_the_float_model(conv_net: Path, quantized: Callable[..., Path]) -> None:
    feed = {"pixels": pixels(64, seed=9)}
    expected, found = (ort.InferenceSession(path).run(None, feed)[0] for path in (conv_net, quantized()))
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99


def test_static_model_has_int8_weights_and_per_channel_scales(quantized: Callable[..., Path]) -> None:
    weights = {weight.name: weight for weight in onnx.load(quantized()).graph.initializer}
    assert sum(weight.data_type == TensorProto.INT8 and len(weight.dims) == 4 for weight in weights.values()) == 3
    assert any(list(weight.dims) == [8] and name.endswith("_scale") for name, weight in weights.items())


def test_excluded_node_stays_float(conv_net: Path, quantized: Callable[..., Path]) -> None:
    first = next(node for node in onnx.load(conv_net).graph.node if node.op_type == "Conv")
    kept = next(node for node in onnx.load(quantized((first.name,))).graph.node if node.name == first.name)
    assert list(kept.input) == list(first.input)


def test_unknown_excluded_node_is_refused(quantized: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="no node named nowhere"):
        quantized(("nowhere",))
