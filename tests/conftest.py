"""Tiny real checkpoints, made on the spot, and the artifacts that follow from them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from compress.apply import apply
from compress.steps import STEPS
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset, load
from ftc.declared import Declared

# a shell starts background jobs with interrupts ignored, and what the tests start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST_FIRST = (
    "docs/test_commands.py",
    "cli/test_main_job.py",
    "search/test_search.py",
    "compress/test_tflite.py",
    "compress/test_channel_pruning.py",
    "compress/training/test_kept.py",
    "contract/test_steps.py",
    "demo/test_run.py",
    "serve/test_package.py",
    "search/test_table.py",
)
"""Files of a minute and more begin first, so that no worker is left with one of them when the others are done."""

TEXT_LABELS = ("negative", "positive")
IMAGE_LABELS = ("circle", "square", "star")
SENTENCES = (
    "the battery arrived early and the screen is bright",
    "how often would you recommend a slow delivery to my two last addresses",
    "where was it not for good and i change this order of a charming film journey bad day",
)
WORDS = tuple(sorted({word for sentence in SENTENCES for word in sentence.split()}))


def save_text_checkpoint(path: Path, *, architecture: str = "Bert", seed: int = 0, **config: object) -> Path:
    """A randomly initialised two-layer encoder with a classifier and a WordPiece tokenizer, saved whole."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    pieces += [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789.,;!?'" for prefix in ("", "##")]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    types = ["token_type_ids"] if architecture in ("Bert", "Electra") else []
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", *types, "attention_mask"],
    ).save_pretrained(path)
    torch.manual_seed(seed)
    sizes: dict[str, object] = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "pad_token_id": 0,
    }
    if architecture == "DistilBert":
        sizes |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    settings = sizes | {
        "id2label": dict(enumerate(TEXT_LABELS)),
        "label2id": {n: i for i, n in enumerate(TEXT_LABELS)},
    }
    model_config = getattr(transformers, f"{architecture}Config")(**(settings | config))
    getattr(transformers, f"{architecture}ForSequenceClassification")(model_config).save_pretrained(path)
    return path


def save_image_checkpoint(path: Path, *, architecture: str = "ResNet", seed: int = 0) -> Path:
    """A randomly initialised small image classifier with its processor."""
    import torch
    import transformers

    torch.manual_seed(seed)
    labels = {
        "id2label": dict(enumerate(IMAGE_LABELS)),
        "label2id": {name: i for i, name in enumerate(IMAGE_LABELS)},
    }
    if architecture == "ResNet":
        config = transformers.ResNetConfig(
            embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", **labels
        )
    else:
        config = getattr(transformers, f"{architecture}Config")(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            image_size=32,
            patch_size=8,
            initializer_range=0.3,
            **labels,
        )
    getattr(transformers, f"{architecture}ForImageClassification")(config).save_pretrained(path)
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25],
    }
    (path / "preprocessor_config.json").write_text(json.dumps(processor))
    return path


def save_keras_model(path: Path, *, last: str | None = "softmax", seed: int = 0) -> Path:
    """A randomly initialised small image classifier with a depthwise convolution, as the file's suffix says."""
    pytest.importorskip(
        "tensorflow", reason="Keras models need TensorFlow: pip install -c constraints.txt -e '.[keras]'"
    )
    from ftc.keras.model import import_tensorflow
    from ftc.quiet import quiet_libraries

    with quiet_libraries():
        import_tensorflow()
        import keras

        keras.utils.set_random_seed(seed)
        layers = keras.layers
        # channels that differ much, so that rounding to 8 bits does not decide between the classes
        apart = keras.initializers.RandomNormal(stddev=1.0)
        model = keras.Sequential(
            [
                keras.Input((32, 32, 3), name="image"),
                layers.Conv2D(8, 3, strides=2, padding="same", name="stem"),
                layers.BatchNormalization(),
                layers.ReLU(6.0),
                layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(len(IMAGE_LABELS), activation=last, kernel_initializer=apart, name="head"),
            ]
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            model.save(path)
        else:
            model.export(path)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    turns = {here / name: turn for turn, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: turns.get(item.path, len(turns)))


@pytest.fixture(scope="session")
def keras_root(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    path = save_keras_model(tmp_path_factory.mktemp("checkpoints") / "tiny-keras.keras")
    return open_any(path, Declared(labels=IMAGE_LABELS, processor="tf"))


@pytest.fixture(scope="session")
def text_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_text_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny-bert")


@pytest.fixture(scope="session")
def image_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_image_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny-resnet")


@pytest.fixture(scope="session")
def artifacts_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def text_onnx(text_checkpoint: Path, artifacts_dir: Path) -> Artifact:
    return apply(STEPS.load("export-onnx")(), open_any(text_checkpoint), artifacts_dir / "tiny-bert-onnx")


@pytest.fixture(scope="session")
def text_int8(text_onnx: Artifact, artifacts_dir: Path) -> Artifact:
    return apply(STEPS.load("quantize-onnx-dynamic")(), text_onnx, artifacts_dir / "tiny-bert-onnx-dynamic-int8")


@pytest.fixture(scope="session")
def image_onnx(image_checkpoint: Path, artifacts_dir: Path) -> Artifact:
    return apply(STEPS.load("export-onnx")(), open_any(image_checkpoint), artifacts_dir / "tiny-resnet-onnx")


@pytest.fixture(scope="session")
def text_root(text_checkpoint: Path) -> Artifact:
    return open_any(text_checkpoint)


@pytest.fixture(scope="session")
def image_root(image_checkpoint: Path) -> Artifact:
    return open_any(image_checkpoint)


@pytest.fixture(scope="session")
def text_tflite(text_root: Artifact, artifacts_dir: Path) -> Artifact:
    pytest.importorskip("litert_torch", reason="TFLite exports need pip install -c constraints.txt -e '.[tflite]'")
    return apply(STEPS.load("export-tflite")(), text_root, artifacts_dir / "tiny-bert-tflite")


@pytest.fixture(scope="session")
def text_openvino(text_checkpoint: Path, artifacts_dir: Path) -> Artifact:
    pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install -c constraints.txt -e '.[openvino]'")
    return apply(STEPS.load("export-openvino")(), open_any(text_checkpoint), artifacts_dir / "tiny-bert-openvino")


@pytest.fixture(scope="session")
def text_data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Forty labelled texts in a file, loaded as a user's would be."""
    path = tmp_path_factory.mktemp("data") / "rows.tsv"
    lines = [
        f"{' '.join(WORDS[(7 * row + k) % len(WORDS)] for k in range(3 + row % 9))}\t{row % 2}" for row in range(40)
    ]
    path.write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    return load(str(path), modality="text", classes=TEXT_LABELS, need_labels=True)


@pytest.fixture(scope="session")
def image_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty small noise images with labels in an archive."""
    path = tmp_path_factory.mktemp("data") / "images.npz"
    random = np.random.default_rng(0)
    np.savez(path, x=random.integers(0, 256, (40, 32, 32, 3), np.uint8), y=np.arange(40) % len(IMAGE_LABELS))
    return path


@pytest.fixture(scope="session")
def image_data(image_rows: Path) -> Dataset:
    return load(str(image_rows), modality="image", classes=IMAGE_LABELS, need_labels=True)
