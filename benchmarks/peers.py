"""An artifact beside what other tools make of the same checkpoint by their documentation, in one run of the bench.

ONNX Runtime's quantizer: PyTorch's export, `quant_pre_process`, then `quantize_dynamic`, or `quantize_static` with 256
rows to calibrate on (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). NNCF:
`nncf.quantize` of the OpenVINO model with 300 rows, and `model_type=TRANSFORMER` for one. Olive, where it is installed:
`olive quantize --implementation ort` (`olive optimize` quantizes with rows that it downloads, and is left out).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ftc.artifact import Artifact
from ftc.checkpoint import load, open_any
from ftc.data import Dataset
from ftc.data import load as load_data
from ftc.tasks import TASKS
from ftc.tasks.task import Task, open_task

OPSET = 18
CALIBRATION_ROWS = 256
NNCF_ROWS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("artifacts", type=Path, nargs="+", help="What ftc made of it.")
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--time-budget", default="60s")
    arguments = parser.parse_args()
    root = open_any(arguments.checkpoint)
    modality = TASKS.load(root.manifest.task).modality
    rows = load_data(arguments.train, modality=modality, classes=root.manifest.labels).sample(NNCF_ROWS, 0)
    with tempfile.TemporaryDirectory() as place:
        files = [*made_by_peers(root, rows, Path(place))]
        paths = [*map(str, arguments.artifacts), *map(str, files), str(arguments.checkpoint)]
        command = [sys.executable, "-m", "ftc", "bench", *paths, "--data", arguments.test]
        subprocess.run([*command, "--time-budget", arguments.time_budget, "--artifacts", place], check=True)


def made_by_peers(root: Artifact, rows: Dataset, place: Path) -> Iterator[Path]:
    """The peers' files, one after the other."""
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    task = open_task(root)
    feeds = [task.encode([example]) for example in rows.examples]
    exported = exported_plainly(root, task, rows, place / "plain.onnx")
    forget_inner_shapes(exported)
    prepared = place / "prepared.onnx"
    quant_pre_process(str(exported), str(prepared), skip_symbolic_shape=True)
    if root.manifest.preprocessing.kind == "text":
        dynamic = place / "ort-dynamic.onnx"
        quantize_dynamic(str(prepared), str(dynamic), weight_type=QuantType.QInt8)
        yield dynamic
    static = place / "ort-static.onnx"
    quantize_static(str(prepared), str(static), _Reader(feeds[:CALIBRATION_ROWS]), per_channel=True)
    yield static
    yield by_nncf(exported, feeds, root, place / "nncf.xml")
    if shutil.which("olive") is not None:
        yield from by_olive(exported, place / "olive")


class _Reader:
    """Rows as ONNX Runtime's calibration asks for them."""

    def __init__(self, feeds: list[dict[str, np.ndarray]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def exported_plainly(root: Artifact, task: Task, rows: Dataset, path: Path) -> Path:
    """PyTorch's own export, with batch and length left open."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self, network: torch.nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(**dict(zip(names, inputs, strict=True))).logits
            return logits

    encoded = task.encode(list(rows.examples[:2]))
    names = list(encoded)
    is_text = root.manifest.preprocessing.kind == "text"
    open_axes: dict[int, Any] = {0: torch.export.Dim("batch")} | ({1: torch.export.Dim("length")} if is_text else {})
    torch.onnx.export(
        Logits(load(root.path)).eval(),
        tuple(torch.from_numpy(values) for values in encoded.values()),
        str(path),
        input_names=names,
        output_names=["logits"],
        dynamic_shapes={"inputs": tuple(open_axes for _ in names)},
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
    )
    return path


def forget_inner_shapes(path: Path) -> None:
    """Without the exporter's shapes of inner tensors, of which ONNX's own inference finds some to be wrong.

    ONNX Runtime's quantizer ends with "Inferred shape and existing shape differ" for MiniLM otherwise.
    """
    import onnx

    model = onnx.load(path)
    model.graph.ClearField("value_info")
    onnx.save(model, path)


def by_nncf(exported: Path, feeds: list[dict[str, np.ndarray]], root: Artifact, path: Path) -> Path:
    """NNCF's post-training quantization of the OpenVINO model."""
    import nncf
    import openvino

    model = openvino.convert_model(str(exported))
    is_text = root.manifest.preprocessing.kind == "text"
    settings = {"model_type": nncf.ModelType.TRANSFORMER} if is_text else {}
    quantized = nncf.quantize(model, nncf.Dataset(feeds), subset_size=NNCF_ROWS, **settings)
    openvino.save_model(quantized, str(path))
    return path


def by_olive(exported: Path, place: Path) -> Iterator[Path]:
    """Olive's command for quantizing an ONNX model."""
    command = ["olive", "quantize", "-m", str(exported), "--implementation", "ort", "--precision", "int8"]
    command += ["--disable_telemetry", "-o", str(place)]
    done = subprocess.run(command, cwd=exported.parent, capture_output=True, text=True, check=False)
    found = sorted(place.rglob("*.onnx"))
    if done.returncode or not found:
        print(f"olive made nothing: {(done.stderr.strip().splitlines() or ['no word'])[-1]}", file=sys.stderr)
    for path in found[:1]:
        yield path.rename(place.with_suffix(".onnx"))


if __name__ == "__main__":
    main()
