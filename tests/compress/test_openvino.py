"""OpenVINO: exports, quantization with NNCF and sessions in length buckets, on tiny networks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.choices import Hint, Precision
from compress.verbs import export, quantize
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset
from ftc.errors import InputError
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks.task import open_task

ov = pytest.importorskip(
    "openvino", reason="OpenVINO is not installed: pip install -c constraints.txt -e '.[openvino]'"
)
pytest.importorskip("nncf", reason="NNCF is not installed: pip install -c constraints.txt -e '.[openvino]'")


def copied(artifact: Artifact, path: Path) -> Artifact:
    """An artifact of one's own to damage."""
    return Artifact(Path(shutil.copytree(artifact.path, path)), artifact.manifest)


def constants(artifact: Artifact) -> set[str]:
    """Element types of the weights in the file."""
    model = ov.Core().read_model(artifact.model_path)
    return {
        node.get_output_element_type(0).get_type_name()
        for node in model.get_ops()
        if node.get_type_name() == "Constant" and np.prod(node.get_output_shape(0)) > 500
    }


def weights_of_products(artifact: Artifact) -> dict[str, np.ndarray]:
    """The stored weights of each matrix product, by its name."""
    found = {}
    for node in ov.Core().read_model(artifact.model_path).get_ops():
        if node.get_type_name() == "MatMul":
            weights = node.input_value(1).get_node()
            while weights.get_type_name() in ("Multiply", "Convert", "Subtract", "Reshape"):
                weights = weights.input_value(0).get_node()
            if weights.get_type_name() == "Constant":
                found[node.get_friendly_name()] = weights.data
    return found


def test_a_float_export_says_that_it_computes_in_float32(text_openvino: Artifact) -> None:
    # or processors with AMX would take bfloat16 unasked
    assert text_openvino.manifest.run.session_config["INFERENCE_PRECISION_HINT"] == "f32"
    assert constants(text_openvino) == {"f32"}
    assert open_session(text_openvino).conditions()["inference_precision"] == "f32"


def test_bfloat16_is_an_artifact_of_its_own_that_may_differ(text_checkpoint: Path, tmp_path: Path) -> None:
    made = export(open_any(text_checkpoint), tmp_path, to="openvino", given={"precision": Precision.BF16})
    assert made.path.name == "tiny-bert-openvino-bf16"
    assert made.manifest.parity is not None
    assert made.manifest.parity.lossy
    assert made.manifest.run.session_config["INFERENCE_PRECISION_HINT"] == "bf16"
    assert any("AMX" in words for words in made.manifest.run.requirements)


@pytest.mark.parametrize(("longest", "expected"), [(16, (16,)), (64, (16, 24, 32, 48, 64)), (50, (16, 24, 32, 48, 50))])
def test_the_ladder_ends_at_the_longest_text(longest: int, expected: tuple[int, ...]) -> None:
    from compress.openvino_ir import ladder

    assert ladder(longest) == expected


def test_lengths_that_were_given_are_the_buckets(text_checkpoint: Path, tmp_path: Path) -> None:
    made = export(open_any(text_checkpoint), tmp_path, to="openvino", given={"lengths": (32, 8)})
    assert made.path.name == "tiny-bert-openvino-8-32"
    session, task = open_session(made), open_task(made)
    assert session.conditions()["lengths"] == "8,32"
    # in a bucket, in the last, and beyond, where the dynamic graph takes over
    for text in ("good", "a " * 20, "a " * 60):
        inputs = task.encode([text])
        expected = open_session(open_any(text_checkpoint)).run(inputs)["logits"]
        np.testing.assert_allclose(session.run(inputs)["logits"], expected, rtol=1e-3, atol=1e-4)


def test_lengths_are_refused_where_they_make_no_sense(text_checkpoint: Path, image_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="from 2 to 64"):
        export(open_any(text_checkpoint), Path("nowhere"), to="openvino", given={"lengths": (16, 65)})
    with pytest.raises(InputError, match="takes images"):
        export(open_any(image_checkpoint), Path("nowhere"), to="openvino", given={"lengths": (16,)})


def test_a_fused_onnx_file_is_converted(text_onnx: Artifact, tmp_path: Path) -> None:
    made = export(text_onnx, tmp_path, to="openvino")
    assert made.path.name == "tiny-bert-onnx-openvino"
    assert made.manifest.parity is not None
    assert made.manifest.parity.max_abs_difference < 1e-3


def test_int8_of_onnx_runtime_is_not_converted(text_int8: Artifact, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="quantized for ONNX Runtime"):
        export(text_int8, tmp_path, to="openvino")
    assert list(tmp_path.iterdir()) == []


def test_static_int8_of_a_text_model(text_openvino: Artifact, text_data: Dataset, tmp_path: Path) -> None:
    made = quantize(text_openvino, tmp_path, mode="static", data=text_data)
    assert made.path.name == "tiny-bert-openvino-static-int8"
    assert constants(made) == {"i8"}
    assert made.manifest.run.requirements == ()
    # 7 bits: what fits the 16-bit sums of processors without VNNI
    weights = weights_of_products(made)
    assert len(weights) > 10
    assert max(np.abs(values.astype(int)).max() for values in weights.values()) <= 64


def test_static_int8_of_an_image_model(image_checkpoint: Path, image_data: Dataset, tmp_path: Path) -> None:
    made = quantize(open_any(image_checkpoint), tmp_path, to="openvino", data=image_data)
    assert made.path.name == "tiny-resnet-openvino-static-int8"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny-resnet-openvino", made.path.name]
    assert made.manifest.lineage[-1].step is not None
    assert made.manifest.lineage[-1].step.options["transformer"] is False
    images = np.zeros((3, 3, 32, 32), np.float32)
    assert open_session(made).run({"pixel_values": images})["logits"].shape == (3, 3)


def test_weights_alone_keep_the_activations(text_openvino: Artifact, tmp_path: Path) -> None:
    small = quantize(text_openvino, tmp_path, mode="weight-only")
    half = quantize(text_openvino, tmp_path, mode="float16")
    assert constants(small) == {"u8"}
    assert constants(half) == {"f16"}
    for made in (small, half):
        assert made.manifest.facts.size_bytes < text_openvino.manifest.facts.size_bytes
        assert made.manifest.parity is not None
        assert made.manifest.parity.label_agreement == 1.0


def test_a_node_that_does_not_exist_is_not_excluded(
    text_openvino: Artifact, text_data: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no node named nothing"):
        quantize(text_openvino, tmp_path, mode="static", data=text_data, given={"exclude": ("nothing",)})


def test_an_excluded_node_stays_in_float(text_openvino: Artifact, text_data: Dataset, tmp_path: Path) -> None:
    last = list(weights_of_products(text_openvino))[-1]
    made = quantize(text_openvino, tmp_path, mode="static", data=text_data, given={"exclude": (last,)})
    assert made.path.name == "tiny-bert-openvino-static-int8-mixed"
    assert [name for name, values in weights_of_products(made).items() if values.dtype == np.float32] == [last]


def test_a_budget_of_accuracy_holds_out_every_second_row(
    text_openvino: Artifact, text_data: Dataset, tmp_path: Path
) -> None:
    made = quantize(text_openvino, tmp_path, mode="static", data=text_data, given={"max_drop_points": 10.0})
    assert made.path.name == "tiny-bert-openvino-static-int8-drop10"
    task = open_task(made)

    def accuracy(artifact: Artifact) -> float:
        session = open_session(artifact)
        held_out = range(1, len(text_data), 2)
        assert text_data.labels is not None
        right = [
            task.chosen(session.run(task.encode([text_data.examples[row]])))[0] == text_data.labels[row]
            for row in held_out
        ]
        return float(np.mean(right))

    assert accuracy(made) >= accuracy(text_openvino) - 0.1


def test_a_budget_of_accuracy_needs_labels(text_openvino: Artifact, text_data: Dataset, tmp_path: Path) -> None:
    unlabelled = replace(text_data, labels=None)
    with pytest.raises(InputError, match="no labels"):
        quantize(text_openvino, tmp_path, mode="static", data=unlabelled, given={"max_drop_points": 1.0})


def test_the_session_takes_the_settings_of_the_manifest(text_openvino: Artifact) -> None:
    manifest = text_openvino.manifest
    settings = {**manifest.run.session_config, "PERFORMANCE_HINT": "THROUGHPUT"}
    other = Artifact(text_openvino.path, replace(manifest, run=replace(manifest.run, session_config=settings)))
    assert open_session(other, SessionOptions(threads=1)).conditions()["performance_hint"] == "THROUGHPUT"
    wrong = Artifact(
        text_openvino.path,
        replace(manifest, run=replace(manifest.run, session_config={**settings, "NO_SUCH_SETTING": "1"})),
    )
    with pytest.raises(InputError, match="NO_SUCH_SETTING"):
        open_session(wrong)


def test_throughput_runs_the_rows_of_a_batch_side_by_side_and_in_order(
    text_checkpoint: Path, text_openvino: Artifact, tmp_path: Path
) -> None:
    made = export(open_any(text_checkpoint), tmp_path, to="openvino", given={"hint": Hint.THROUGHPUT})
    assert made.path.name == "tiny-bert-openvino-throughput"
    session, task = open_session(made), open_task(made)
    assert session.conditions()["performance_hint"] == "THROUGHPUT"
    inputs = task.encode([("good " * words).strip() for words in (1, 30, 2, 29, 3, 28, 1)])
    expected = open_session(text_openvino).run(inputs)["logits"]
    np.testing.assert_allclose(session.run(inputs)["logits"], expected, atol=1e-4)


def test_throughput_takes_texts_beyond_the_last_length(text_checkpoint: Path, tmp_path: Path) -> None:
    given = {"hint": Hint.THROUGHPUT, "lengths": (8, 16)}
    made = export(open_any(text_checkpoint), tmp_path, to="openvino", given=given)
    assert made.manifest.parity is not None
    assert made.manifest.parity.label_agreement == 1.0


def test_an_unknown_operator_is_named_with_its_layer(text_openvino: Artifact, tmp_path: Path) -> None:
    damaged = copied(text_openvino, tmp_path / "copy")
    graph = damaged.model_path.read_text()
    layer = re.search(r'name="([^"]*)" type="Tanh"', graph)
    assert layer is not None
    damaged.model_path.write_text(graph.replace('type="Tanh"', 'type="Thank"'))
    with pytest.raises(InputError, match=rf"Thank.*{re.escape(layer.group(1))}"):
        open_session(damaged)


@pytest.mark.parametrize("name", ["openvino_model.xml", "openvino_model.bin"])
@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_damaged_file_is_an_input_error(text_openvino: Artifact, tmp_path: Path, name: str, kept: float) -> None:
    damaged = copied(text_openvino, tmp_path / "copy")
    content = (damaged.path / name).read_bytes()
    (damaged.path / name).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match="OpenVINO cannot open it"):
        open_session(damaged)


PROBE = """
import sys
import ftc
import openvino, nncf
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")], "telemetry was loaded"
assert sys.modules["openvino_telemetry"] is None
"""


def test_no_telemetry_is_loaded() -> None:
    finished = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


HIDDEN = """
import sys
sys.modules["openvino"] = None
from ftc.cli import main
sys.exit(main(["export", sys.argv[1], "--to", "openvino", "--artifacts", sys.argv[2]]))
"""


def test_without_openvino_the_message_says_what_to_install(text_checkpoint: Path, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", HIDDEN, str(text_checkpoint), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert finished.returncode == 2
    assert "pip install -c constraints.txt -e '.[openvino]'" in finished.stderr
    assert "Traceback" not in finished.stderr
