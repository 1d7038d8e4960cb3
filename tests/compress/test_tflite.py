"""TFLite exports and their quantized forms, on tiny checkpoints through the real converter and interpreter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("litert_torch", reason="the extra [tflite] is not installed")

from ai_edge_litert import schema_py_generated as schema

from compress import lengths as buckets
from compress.apply import apply
from compress.steps import STEPS
from compress.verbs import export, quantize
from ftc.artifact import Artifact, open_artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset, load
from ftc.errors import InputError, RunError
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task
from tests.conftest import IMAGE_LABELS, save_image_checkpoint, save_text_checkpoint

LENGTHS = (8, 24, 64)


@pytest.fixture(scope="module")
def text_tflite(text_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    step = STEPS.load("export-tflite")(lengths=LENGTHS)
    return apply(step, open_any(text_checkpoint), tmp_path_factory.mktemp("tflite") / "text")


@pytest.fixture(scope="module")
def wide_tflite(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A model whose weights are most of its file."""
    place = tmp_path_factory.mktemp("wide")
    checkpoint = save_text_checkpoint(place / "wide", hidden_size=256, intermediate_size=1024)
    return apply(STEPS.load("export-tflite")(lengths=(16,)), open_any(checkpoint), place / "tflite")


@pytest.fixture(scope="module")
def image_tflite(image_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return apply(STEPS.load("export-tflite")(), open_any(image_checkpoint), tmp_path_factory.mktemp("tflite") / "image")


def logits(artifact: Artifact, *examples: object) -> np.ndarray:
    task = open_task(artifact)
    return open_session(artifact).run(task.encode(list(examples)))["logits"]


@pytest.mark.parametrize("words", [1, 5, 6, 7, 20, 22, 30, 62, 63, 200])
def test_every_length_answers_as_the_checkpoint_does(text_tflite: Artifact, text_checkpoint: Path, words: int) -> None:
    text = " ".join(["good", "bad"] * 100).split()[:words]
    root = open_any(text_checkpoint)
    np.testing.assert_allclose(logits(text_tflite, " ".join(text)), logits(root, " ".join(text)), atol=1e-4)


def test_a_batch_of_mixed_lengths_comes_back_in_order(text_tflite: Artifact) -> None:
    texts = ["good " * 40, "bad", ("good film", "bad journey"), "slow delivery " * 8, "bad"]
    together = logits(text_tflite, *texts)
    alone = np.concatenate([logits(text_tflite, text) for text in texts])
    np.testing.assert_array_equal(together, alone)


def test_the_last_length_is_where_texts_are_truncated(text_checkpoint: Path, tmp_path: Path) -> None:
    short = apply(STEPS.load("export-tflite")(lengths=(8, 16)), open_any(text_checkpoint), tmp_path / "short")
    text = "the battery arrived early and the screen is bright " * 4
    tokens = open_task(short).encode([text])["input_ids"]
    by_tokenizer = open_task(open_any(text_checkpoint)).encode([text])["input_ids"]
    assert tokens.shape == (1, 16)
    assert tokens[0, :15].tolist() == by_tokenizer[0, :15].tolist()
    assert tokens[0, 15] == by_tokenizer[0, -1], "the closing token stays"
    assert np.isfinite(logits(short, text)).all()


def test_signatures_share_their_weights(text_tflite: Artifact, text_checkpoint: Path, tmp_path: Path) -> None:
    one = apply(STEPS.load("export-tflite")(lengths=(64,)), open_any(text_checkpoint), tmp_path / "one")
    weights = sum(p.numel() for p in _parameters(text_checkpoint)) * 4
    assert text_tflite.manifest.facts.size_bytes - one.manifest.facts.size_bytes < 2 * weights


def _parameters(checkpoint: Path) -> list[torch.nn.Parameter]:
    from ftc.huggingface.model import load_model

    return list(load_model(open_any(checkpoint)).parameters())


def test_the_manifest_says_names_types_and_shapes(text_tflite: Artifact, image_tflite: Artifact) -> None:
    text, image = text_tflite.manifest, image_tflite.manifest
    assert {(spec.name, spec.dtype, spec.shape) for spec in text.inputs} == {
        ("input_ids", "int32", (1, "length")),
        ("token_type_ids", "int32", (1, "length")),
        ("attention_mask", "int32", (1, "length")),
    }
    assert [(spec.name, spec.shape) for spec in text.outputs] == [("logits", (1, 2))]
    assert text.run.session_config["lengths"] == "8,24,64"
    assert [(spec.name, spec.dtype, spec.shape) for spec in image.inputs] == [
        ("pixel_values", "float32", (1, 32, 32, 3))
    ]
    assert image.labels == IMAGE_LABELS


def test_without_lengths_there_are_powers_of_two(text_checkpoint: Path, tmp_path: Path) -> None:
    made = export(open_any(text_checkpoint), tmp_path, to="tflite")
    assert made.path.name == "tiny-bert-tflite"
    assert made.manifest.run.session_config["lengths"] == "16,32,64"


def test_data_decides_the_lengths(text_checkpoint: Path, text_data: Dataset, tmp_path: Path) -> None:
    root = open_any(text_checkpoint)
    two = text_data.part([0, 8], "two")  # of two lengths, since each length takes seconds to convert
    made = quantize(root, tmp_path, to="tflite", mode="dynamic", data=two)
    task = open_task(root)
    longest = max(task.length(example) for example in two.examples)
    chosen = [int(length) for length in made.manifest.run.session_config["lengths"].split(",")]
    assert any(longest <= length < 64 for length in chosen), chosen
    assert chosen[-1] == 64
    assert made.manifest.lineage[1].step is not None
    assert list(made.manifest.lineage[1].step.options["lengths"]) == chosen  # type: ignore[arg-type]


@pytest.mark.parametrize("lengths", [(8, 8), (1, 16), (16, 65), (-4, 8)])
def test_lengths_that_make_no_sense_are_refused(
    text_checkpoint: Path, tmp_path: Path, lengths: tuple[int, ...]
) -> None:
    with pytest.raises(InputError, match="from 2 to 64"):
        export(open_any(text_checkpoint), tmp_path, to="tflite", given={"lengths": lengths})
    assert not any(tmp_path.iterdir())


def test_lengths_are_not_for_images(image_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes images"):
        export(open_any(image_checkpoint), tmp_path, to="tflite", given={"lengths": (8, 16)})


@pytest.mark.parametrize("architecture", ["Roberta", "DistilBert", "Electra"])
def test_other_encoders_keep_their_answers(architecture: str, tmp_path: Path) -> None:
    # position ids of RoBERTa count from the padding token's id
    sizes = {"max_position_embeddings": 66, "type_vocab_size": 1} if architecture == "Roberta" else {}
    checkpoint = save_text_checkpoint(tmp_path / "checkpoint", architecture=architecture, **sizes)
    made = apply(STEPS.load("export-tflite")(lengths=(8, 32)), open_any(checkpoint), tmp_path / "made")
    assert made.manifest.parity is not None
    assert made.manifest.parity.label_agreement == 1.0


def test_a_vision_transformer_keeps_its_answers(tmp_path: Path) -> None:
    checkpoint = save_image_checkpoint(tmp_path / "vit", architecture="ViT")
    made = apply(STEPS.load("export-tflite")(), open_any(checkpoint), tmp_path / "made")
    assert made.manifest.parity is not None
    assert made.manifest.parity.max_abs_difference < 1e-4


@pytest.mark.parametrize(("mode", "share"), [("dynamic", 0.35), ("weight-only", 0.35), ("float16", 0.6)])
def test_smaller_weights_make_a_smaller_file(wide_tflite: Artifact, tmp_path: Path, mode: str, share: float) -> None:
    made = quantize(wide_tflite, tmp_path, mode=mode)  # type: ignore[arg-type]
    assert made.manifest.facts.size_bytes < share * wide_tflite.manifest.facts.size_bytes
    assert made.manifest.parity is not None
    assert made.manifest.parity.label_agreement > 0.9
    assert open_artifact(made.path, verify=True).manifest == made.manifest


def test_a_quantized_file_says_once_what_its_signatures_share(text_tflite: Artifact, tmp_path: Path) -> None:
    made = quantize(text_tflite, tmp_path, mode="dynamic")
    file = made.model_path.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(file, 0)
    names = {tensor.name for graph in model.subgraphs for tensor in graph.tensors}
    assert len(model.subgraphs) == len(LENGTHS)
    assert len(names) < 1.5 * len(model.subgraphs[0].tensors), "graphs of other lengths have the same names"
    assert not any(b"torch.nn" in name for name in names)
    parent = schema.ModelT.InitFromPackedBuf(text_tflite.model_path.read_bytes(), 0)
    taken, before = (
        [graph.tensors[place].name for graph in one.subgraphs for place in graph.inputs] for one in (model, parent)
    )
    assert taken == before, "inputs keep their names"
    scales = {
        bytes(tensor.quantization.scale)
        for graph in model.subgraphs
        for tensor in graph.tensors
        if tensor.quantization is not None and tensor.quantization.scale is not None
        if len(tensor.quantization.scale) > 8  # of channels: nothing else in the file is as it by chance
    }
    assert scales
    assert all(file.count(scale) == 1 for scale in scales)


@pytest.mark.parametrize("integer_io", [False, True])
def test_static_int8_of_a_convolutional_model(
    image_tflite: Artifact, image_rows: Path, tmp_path: Path, integer_io: bool
) -> None:
    data = load(str(image_rows), modality="image", classes=IMAGE_LABELS, need_labels=False)
    made = quantize(image_tflite, tmp_path, data=data, given={"integer_io": integer_io} if integer_io else {})
    (pixels,), (answers,) = made.manifest.inputs, made.manifest.outputs
    assert (pixels.dtype, answers.dtype) == (("int8", "int8") if integer_io else ("float32", "float32"))
    assert (pixels.scale is not None) == integer_io
    assert made.path.name == f"text-static-int8{'-io' if integer_io else ''}".replace("text", "tiny-resnet-tflite")
    task = open_task(made)
    inputs = task.encode([data.examples[0]])
    got, wanted = open_session(made).run(inputs)["logits"], open_session(image_tflite).run(inputs)["logits"]
    assert got.dtype == np.float32
    assert np.abs(got - wanted).max() < 0.2 * np.abs(wanted).max() + 0.05


def test_static_int8_of_texts_calibrates_every_length(
    text_tflite: Artifact, text_data: Dataset, tmp_path: Path
) -> None:
    made = quantize(text_tflite, tmp_path, mode="static", data=text_data)
    for words in (2, 15, 60):
        answer, wanted = logits(made, "good " * words), logits(text_tflite, "good " * words)
        assert np.abs(answer - wanted).max() < 0.5


def test_an_operator_can_stay_in_float(wide_tflite: Artifact, tmp_path: Path) -> None:
    all_of_it = quantize(wide_tflite, tmp_path, mode="dynamic")
    mixed = quantize(wide_tflite, tmp_path, mode="dynamic", given={"exclude": (".*BertIntermediate.*",)})
    assert mixed.path.name.endswith("-mixed")
    assert mixed.manifest.facts.size_bytes > all_of_it.manifest.facts.size_bytes
    with pytest.raises(InputError, match="not a regular expression"):
        quantize(wide_tflite, tmp_path / "other", mode="dynamic", given={"exclude": ("(",)})


class Bessel(torch.nn.Module):
    """An activation that no converter knows."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(values)


@pytest.mark.parametrize("step", ["export-tflite", "export-onnx", "export-openvino"])
def test_an_unknown_operator_is_named_with_its_layer(
    step: str, text_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftc.huggingface import model

    original: Callable[..., torch.nn.Module] = model.load_model

    def with_bessel(*arguments: object, **options: object) -> torch.nn.Module:
        loaded = original(*arguments, **options)
        loaded.bert.encoder.layer[1].intermediate.intermediate_act_fn = Bessel()
        return loaded

    monkeypatch.setattr(f"compress.steps.{step.replace('-', '_')}.load_model", with_bessel)
    with pytest.raises(RunError, match=r"bessel_j0.*layer bert\.encoder\.layer\.1\.intermediate") as raised:
        apply(STEPS.load(step)(), open_any(text_checkpoint), tmp_path / "made")
    assert "Traceback" not in str(raised.value)
    assert not any(tmp_path.iterdir())


@given(
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=60),
    count=st.integers(1, 5),
)
def test_no_other_buckets_pad_less(lengths: list[int], count: int) -> None:
    from itertools import combinations

    def padded(chosen: tuple[int, ...]) -> int:
        return sum(min(bucket for bucket in chosen if bucket >= length) for length in lengths)

    best = buckets.least_padding(lengths, count)
    assert len(best) <= count
    assert best[-1] == max(lengths)
    values = sorted(set(lengths))[:-1]
    if len(values) <= 9:
        others = [(*rest, max(lengths)) for size in range(count) for rest in combinations(values, size)]
        assert padded(best) == min(map(padded, others))


@given(
    lengths=st.lists(st.integers(2, 512), min_size=1), longest=st.integers(512, 600), tile=st.sampled_from([1, 10, 16])
)
def test_every_text_fits_a_bucket_and_the_model_keeps_its_longest(lengths: list[int], longest: int, tile: int) -> None:
    chosen = buckets.fitted(lengths, longest, tile)
    assert all(length % tile == 0 for length in chosen[:-1])
    assert chosen == tuple(sorted(set(chosen)))
    assert chosen[-1] == longest
    assert len(chosen) <= 7


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_file_never_ends_the_process(text_tflite: Artifact, tmp_path: Path, seed: int) -> None:
    """Bytes changed at random are refused or computed with; LiteRT's own compiler would crash on some of them."""
    import shutil

    copy = Path(shutil.copytree(text_tflite.path, tmp_path / "copy"))
    content = bytearray((copy / "model.tflite").read_bytes())
    random = np.random.default_rng(seed)
    # the head and the tail hold the tables, what is between them mostly weights
    for place in (*random.integers(8, 2000, 10), *random.integers(len(content) - 4000, len(content), 10)):
        content[place] = random.integers(0, 256)
    (copy / "model.tflite").write_bytes(content)
    script = (
        "from pathlib import Path; from ftc.artifact import open_artifact; from ftc.errors import FtcError\n"
        "from ftc.runtimes.session import open_session\n"
        f"try: open_session(open_artifact(Path({str(copy)!r}))); print('opened')\n"
        "except FtcError as error: print('refused')"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.strip() in ("opened", "refused")
