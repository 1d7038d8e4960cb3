"""Opening Keras models: what is read, what must be declared, what is refused, and the runtime that answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftc.artifact import Artifact
from ftc.checkpoint import open_any, with_operations
from ftc.cli import main
from ftc.declared import Declared, read_labels
from ftc.errors import InputError
from ftc.preprocessing import ImagePreprocessing
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks.task import open_task
from tests.conftest import IMAGE_LABELS, save_keras_model

tf = pytest.importorskip(
    "tensorflow", reason="Keras models need TensorFlow: pip install -c constraints.txt -e '.[keras]'"
)
keras = pytest.importorskip("keras", reason="Keras models need Keras: pip install -c constraints.txt -e '.[keras]'")

DECLARED = Declared(labels=IMAGE_LABELS, processor="tf")


@pytest.fixture
def copy(keras_root: Artifact, tmp_path: Path) -> Path:
    return Path(shutil.copy(keras_root.path, tmp_path / "model.keras"))


def saved(path: Path, build: Callable[[Any], tuple[Any, Any]]) -> Path:
    """A model of inputs and outputs that `build` makes from Keras's layers."""
    keras.Model(*build(keras.layers)).save(path)
    return path


def headed(layers: Any, *, units: int = 3, activation: str | None = "softmax", shape: Any = (32, 32, 3)) -> Any:
    image = keras.Input(shape)
    features = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    return image, layers.Dense(units, activation=activation)(features)


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


@keras.saving.register_keras_serializable("theirs")
class Doubled(keras.layers.Layer):  # type: ignore[misc]
    """A layer that only its author's program knows."""

    def call(self, values: Any) -> Any:
        return values * 2


def _lambda(layers: Any) -> Any:
    image, scores = headed(layers)
    return image, layers.Lambda(lambda values: values * 2, name="twice")(scores)


def _own_layer(layers: Any) -> Any:
    image, scores = headed(layers)
    return image, Doubled(name="twice")(scores)


def _two_inputs(layers: Any) -> Any:
    (first, one), (second, other) = headed(layers), headed(layers)
    return [first, second], layers.Average()([one, other])


def _two_outputs(layers: Any) -> Any:
    image, scores = headed(layers)
    return image, [scores, layers.Dense(2)(scores)]


def _no_head(layers: Any) -> Any:
    image = keras.Input((32, 32, 3))
    return image, layers.Conv2D(4, 3)(image)


def _vector(layers: Any) -> Any:
    values = keras.Input((16,))
    return values, layers.Dense(3)(values)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (_lambda, "Lambda.*'twice'.*holds code"),
        (_own_layer, "Doubled.*'twice'.*not one of Keras's own"),
        (_two_inputs, "2 inputs"),
        (_two_outputs, "2 outputs"),
        (_no_head, r"one row of scores"),
        (_vector, r"float32 inputs of shape \('batch', 16\)"),
        (lambda layers: headed(layers, shape=(32, 32, 1)), "image classifiers"),
        (lambda layers: headed(layers, units=1, activation="sigmoid"), "single output unit"),
        (lambda layers: headed(layers, shape=(None, None, 3)), "any size"),
    ],
)
def test_models_of_another_kind_are_refused(tmp_path: Path, build: Any, words: str) -> None:
    path = saved(tmp_path / "model.keras", build)
    with pytest.raises(InputError, match=words):
        open_any(path, DECLARED)


@pytest.mark.parametrize("build", [_lambda, _own_layer])
def test_code_in_an_old_file_is_refused_too(tmp_path: Path, build: Any) -> None:
    with pytest.raises(InputError, match=r"holds code|of Keras's own|cannot load it"):
        open_any(saved(tmp_path / "model.h5", build), DECLARED)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _text(path: Path) -> None:
    path.write_text("this is not a model")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncated, _text, _empty, _other_archive, _flipped])
def test_damaged_files_are_refused(copy: Path, damage: Callable[[Path], None]) -> None:
    damage(copy)
    with pytest.raises(InputError, match=r"damaged|no Keras model|copied in part"):
        open_any(copy, DECLARED)


def test_weights_alone_are_refused(copy: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    keras.saving.load_model(copy).save_weights(path)
    with pytest.raises(InputError, match="weights alone"):
        open_any(path, DECLARED)


def test_weights_that_are_no_numbers_are_refused(copy: Path) -> None:
    model = keras.saving.load_model(copy)
    kernel = model.get_layer("head").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    model.save(copy)
    with pytest.raises(InputError, match=r"head/kernel.*NaN"):
        open_any(copy, DECLARED)


def saved_function(path: Path, function: Any, shape: tuple[int | None, ...]) -> Path:
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32, "image")])
    tf.saved_model.save(module, str(path), signatures=module.serve)
    return path


def test_a_saved_model_that_runs_code_or_reads_files_is_refused(tmp_path: Path) -> None:
    def reads(image: Any) -> Any:
        secret = tf.strings.length(tf.io.read_file("/etc/hostname"))
        return tf.reduce_mean(image, [1, 2]) + tf.cast(secret, tf.float32)

    with pytest.raises(InputError, match="operator ReadFile"):
        open_any(saved_function(tmp_path / "reads", reads, (None, 32, 32, 3)), DECLARED)


def test_a_saved_model_that_writes_files_is_refused_unrun(tmp_path: Path) -> None:
    written = tmp_path / "written"

    def writes(image: Any) -> Any:
        writer = tf.raw_ops.SummaryWriter(shared_name="writer")
        tf.raw_ops.CreateSummaryFileWriter(
            writer=writer, logdir=str(written), max_queue=1, flush_millis=1, filename_suffix=""
        )
        return tf.reduce_mean(image, [1, 2])

    path = saved_function(tmp_path / "writes", writes, (None, 32, 32, 3))
    with pytest.raises(InputError, match=r"SummaryWriter|CreateSummaryFileWriter"):
        open_any(path, DECLARED)
    assert not written.exists()


def test_an_archive_that_would_fill_the_memory_is_refused(copy: Path) -> None:
    with zipfile.ZipFile(copy, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("padding", bytes(200 * copy.stat().st_size))
    with pytest.raises(InputError, match="would unpack to more than"):
        open_any(copy, DECLARED)


def test_a_saved_model_of_one_batch_size_is_refused(tmp_path: Path) -> None:
    path = saved_function(tmp_path / "fixed", lambda image: tf.reduce_mean(image, [1, 2]), (4, 32, 32, 3))
    with pytest.raises(InputError, match="batches of 4 only"):
        open_any(path, DECLARED)


def test_a_damaged_saved_model_is_refused(tmp_path: Path) -> None:
    path = save_keras_model(tmp_path / "tiny")
    (path / "saved_model.pb").write_bytes(b"\xff" * 200)
    with pytest.raises(InputError, match=r"saved_model\.pb is damaged"):
        open_any(path, DECLARED)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("labels.txt", "cat\n\ndog\n", "empty label at line 2"),
        ("labels.txt", "cat\n", "names 1"),
        ("labels.json", '{"0": "cat", "2": "dog"}', "without gaps"),
        ("labels.json", '{"0": "cat",', "not valid JSON"),
        ("labels.json", "[1, 2]", "a list of names"),
    ],
)
def test_label_files_that_say_nothing_clear(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        read_labels(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "crane\nheron\ncrane\n"),
        ("labels.json", '["crane", "heron", "crane"]'),
        ("labels.json", '{"2": "crane", "1": "heron", "0": "crane"}'),
        ("config.json", '{"model_type": "x", "id2label": {"0": "crane", "1": "heron", "2": "crane"}}'),
    ],
)
def test_label_files(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_labels(tmp_path / name) == ("crane (0)", "heron", "crane (2)")


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_runtime_takes_any_batch(keras_root: Artifact, rows: int) -> None:
    answers = open_session(keras_root).run({"image": np.zeros((rows, 32, 32, 3), np.float32)})
    assert answers["probabilities"].shape == (rows, 3)
    assert answers["probabilities"].dtype == np.float32
    np.testing.assert_allclose(answers["probabilities"].sum(-1), 1, atol=1e-5)


def test_the_runtime_answers_like_keras_itself(keras_root: Artifact) -> None:
    batch = open_task(keras_root).encode(open_task(keras_root).golden_examples())
    expected = keras.saving.load_model(keras_root.path).predict(batch["image"], verbose=0)
    np.testing.assert_allclose(open_session(keras_root).run(batch)["probabilities"], expected, atol=1e-6)


def test_an_unknown_device_is_refused(keras_root: Artifact) -> None:
    with pytest.raises(InputError, match="not on 'abacus'"):
        open_session(keras_root, SessionOptions(device="abacus"))


THREADS = """
import sys
from pathlib import Path
from pydantic import TypeAdapter
from ftc.artifact import Artifact
from ftc.errors import InputError
from ftc.manifest import Manifest
from ftc.runtimes.session import SessionOptions, open_session

artifact = Artifact(Path(sys.argv[1]), TypeAdapter(Manifest).validate_json(sys.stdin.read()))
print(open_session(artifact, SessionOptions(threads=1)).conditions()["threads"])
import tensorflow as tf
print(tf.config.threading.get_intra_op_parallelism_threads())
try:
    open_session(artifact, SessionOptions(threads=3))
except InputError as error:
    print(error)
"""


def test_threads_are_as_asked_or_refused(keras_root: Artifact) -> None:
    from ftc.manifest import to_json

    done = subprocess.run(
        [sys.executable, "-c", THREADS, str(keras_root.path)],
        input=to_json(keras_root.manifest),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[:2] == ["1", "1"]
    assert "uses 1 threads in this process already and cannot change to 3" in done.stdout


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
