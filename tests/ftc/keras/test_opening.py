"""Opening Keras models: what is read, and what must be declared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ftc.artifact import Artifact
from ftc.checkpoint import open_any, with_operations
from ftc.cli import main
from ftc.declared import Declared
from ftc.errors import InputError
from ftc.preprocessing import ImagePreprocessing
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task
from tests.conftest import IMAGE_LABELS, save_keras_model
from tests.ftc.keras.made import DECLARED, keras


def test_what_a_file_says_of_itself(keras_root: Artifact) -> None:
    manifest = with_operations(keras_root).manifest
    assert (manifest.format, manifest.task, manifest.run.runtime) == ("keras", "image-classification", "keras")
    assert manifest.labels == IMAGE_LABELS
    assert [(spec.name, spec.shape) for spec in manifest.inputs] == [("image", ("batch", 32, 32, 3))]
    assert manifest.output == "probabilities"
    # stem with bias, scale and shift of the normalization without its statistics, depthwise, head
    assert manifest.facts.parameters == (3 * 3 * 3 * 8 + 8) + 2 * 8 + (3 * 3 * 8 + 8) + (8 * 3 + 3)
    convolutions = 16 * 16 * 8 * 27 + 16 * 16 * 8 * 9
    assert manifest.facts.multiply_accumulates == convolutions + 8 * 3
    assert manifest.facts.convolution_share == pytest.approx(convolutions / (convolutions + 24))
    assert manifest.facts.size_bytes == keras_root.path.stat().st_size


def test_without_a_softmax_the_output_is_logits(tmp_path: Path) -> None:
    artifact = open_any(save_keras_model(tmp_path / "raw.keras", last=None), DECLARED)
    assert artifact.manifest.output == "logits"
    answer = open_session(artifact).run(open_task(artifact).encode([np.zeros((32, 32, 3), np.uint8)]))
    assert set(answer) == {"logits"}


@pytest.mark.parametrize("name", ["tiny.h5", "tiny.hdf5", "tiny"])
def test_the_same_network_in_other_files(keras_root: Artifact, tmp_path: Path, name: str) -> None:
    artifact = open_any(save_keras_model(tmp_path / name), DECLARED)
    manifest, expected = artifact.manifest, keras_root.manifest
    assert (manifest.name, manifest.output) == ("tiny", "probabilities")
    for fact in ("parameters", "multiply_accumulates", "convolution_share"):
        assert getattr(manifest.facts, fact) == getattr(expected.facts, fact)
    images = open_task(artifact).golden_examples()[:3]
    answers = open_session(artifact).run(open_task(artifact).encode(images))
    reference = open_session(keras_root).run(open_task(keras_root).encode(images))
    np.testing.assert_allclose(answers["probabilities"], reference["probabilities"], atol=1e-6)


@pytest.mark.parametrize("name", ["tf", "torch", "caffe", "raw"])
def test_conventions_are_those_of_keras(copy: Path, name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    encoded = open_task(open_any(copy, Declared(labels=IMAGE_LABELS, processor=name))).encode([image])["image"]
    expected = image.astype(np.float32)
    if name != "raw":
        expected = keras.applications.imagenet_utils.preprocess_input(expected, mode=name)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded[0], expected, atol=1e-4)


def test_a_processor_file_is_taken_with_its_values(copy: Path, image_checkpoint: Path) -> None:
    for path in (image_checkpoint, image_checkpoint / "preprocessor_config.json"):
        spec = open_any(copy, Declared(labels=IMAGE_LABELS, processor=str(path))).manifest.preprocessing
        assert isinstance(spec, ImagePreprocessing)
        assert (spec.input, spec.layout, spec.mean) == ("image", "NHWC", (0.5, 0.5, 0.5))


def test_side_files_are_taken_and_named(copy: Path, image_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy.parent / "labels.txt").write_text("a\nb\nc\n")
    shutil.copy(image_checkpoint / "preprocessor_config.json", copy.parent)
    assert open_any(copy).manifest.labels == ("a", "b", "c")
    told = capsys.readouterr().err
    assert "labels.txt" in told
    assert "preprocessor_config.json" in told


def test_labels_and_preprocessing_are_part_of_the_identity(copy: Path, keras_root: Artifact) -> None:
    first = open_any(copy, DECLARED).manifest.id
    assert first == keras_root.manifest.id
    assert first != open_any(copy, Declared(labels=("x", "y", "z"), processor="tf")).manifest.id
    assert first != open_any(copy, Declared(labels=IMAGE_LABELS, processor="raw")).manifest.id


def test_a_manifest_is_enough_to_open_its_root_again(keras_root: Artifact) -> None:
    again = open_any(keras_root.path, Declared.of_root(keras_root.manifest))
    assert again.manifest == keras_root.manifest


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (Declared(processor="tf"), "--labels FILE"),
        (Declared(labels=IMAGE_LABELS), "--processor PATH.*tf .*torch .*caffe .*raw"),
        (Declared(labels=("a", "b"), processor="tf"), "3 outputs, but 2 labels"),
        (Declared(labels=IMAGE_LABELS, processor="tensorflow"), "no such preprocessor_config.json"),
        (Declared(task="text-classification"), "image-classification alone"),
        (Declared(tokenizer=Path("tokenizer")), "leave out --tokenizer"),
    ],
)
def test_what_must_be_declared(copy: Path, declared: Declared, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_any(copy, declared)


def test_a_processor_of_another_size_is_refused(copy: Path, image_checkpoint: Path, tmp_path: Path) -> None:
    processor = json.loads((image_checkpoint / "preprocessor_config.json").read_text())
    processor["size"] = {"height": 48, "width": 48}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.raises(InputError, match="32 x 32 pixels, its preprocessing gives 48 x 48"):
        open_any(copy, Declared(labels=IMAGE_LABELS, processor=str(tmp_path / "other")))


def test_what_describes_itself_takes_no_declarations(text_checkpoint: Path, text_onnx: Artifact) -> None:
    with pytest.raises(InputError, match=r"Hugging Face checkpoint.*leave out --labels, --processor"):
        open_any(text_checkpoint, DECLARED)
    with pytest.raises(InputError, match=r"an artifact.*leave out --labels"):
        open_any(text_onnx.path, Declared(labels=("a", "b")))


INSPECT = "import sys; from ftc.cli import main; main(sys.argv[1:], standalone_mode=False); {after}"


def test_tensorflow_says_nothing_on_the_screen(copy: Path) -> None:
    (copy.parent / "labels.txt").write_text("a\nb\nc\n")
    command = [sys.executable, "-m", "ftc", "inspect", str(copy), "--processor", "raw"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = done.stderr.splitlines()
    assert [line.split(" ")[0] for line in told] == ["labels", "opening", "preprocessing:"], done.stderr
    assert "probabilities" in done.stdout


def test_tensorflow_is_not_imported_for_other_checkpoints(text_checkpoint: Path) -> None:
    after = "sys.exit('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", INSPECT.format(after=after), "inspect", str(text_checkpoint)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_the_command_line_takes_what_is_declared(copy: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    (tmp_path / "names.json").write_text(json.dumps(IMAGE_LABELS))
    arguments = ["inspect", str(copy), "--labels", str(tmp_path / "names.json"), "--processor", "tf", "--json"]
    shown = CliRunner().invoke(main, arguments)
    assert json.loads(shown.stdout)["labels"] == list(IMAGE_LABELS)
