"""Opening checkpoints: what is refused, with which words, and what is read."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ftc.checkpoint import open_any, with_operations
from ftc.declared import Declared
from ftc.errors import InputError
from ftc.huggingface.model import load_model
from ftc.preprocessing import ImagePreprocessing, TextPreprocessing
from tests.conftest import save_text_checkpoint


@pytest.fixture
def copy(text_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(text_checkpoint, tmp_path / "ckpt"))


def edit_config(path: Path, **changes: object) -> None:
    config = json.loads((path / "config.json").read_text())
    config.update(changes)
    (path / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def test_a_text_checkpoint(text_checkpoint: Path) -> None:
    manifest = with_operations(open_any(text_checkpoint)).manifest
    assert manifest.task == "text-classification"
    assert manifest.labels == ("negative", "positive")
    assert isinstance(manifest.preprocessing, TextPreprocessing)
    assert manifest.preprocessing.max_length == 64
    assert [spec.name for spec in manifest.inputs] == ["input_ids", "token_type_ids", "attention_mask"]
    model = load_model(open_any(text_checkpoint))
    assert manifest.facts.parameters == sum(parameter.numel() for parameter in model.parameters())
    # 2 layers x 64 tokens x (4 projections of 32 x 32, two of 32 x 64) + attention 2 x 64 x 64 x 32, pooler, head
    layers = 2 * (64 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 64 * 64 * 32)
    assert manifest.facts.multiply_accumulates == layers + 32 * 32 + 32 * 2


def test_an_image_checkpoint(image_checkpoint: Path) -> None:
    manifest = with_operations(open_any(image_checkpoint)).manifest
    assert manifest.task == "image-classification"
    assert isinstance(manifest.preprocessing, ImagePreprocessing)
    assert manifest.inputs[0].shape == ("batch", 3, 32, 32)
    assert manifest.facts.convolution_share is not None
    assert manifest.facts.convolution_share > 0.9


def test_sharded_and_half_precision_weights(text_checkpoint: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    path = Path(shutil.copytree(text_checkpoint, tmp_path / "sharded"))
    (path / "model.safetensors").unlink()
    model = AutoModelForSequenceClassification.from_pretrained(text_checkpoint, dtype=torch.bfloat16)
    model.save_pretrained(path, max_shard_size="20KB")
    assert len(list(path.glob("model-*.safetensors"))) > 1
    artifact = open_any(path)
    assert artifact.manifest.id != open_any(text_checkpoint).manifest.id
    assert next(load_model(artifact).parameters()).dtype == torch.float32


def test_safe_pickle_weights_open(copy: Path) -> None:
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    assert load_model(open_any(copy)).num_labels == 2


def test_a_pickle_that_needs_code_is_not_run(copy: Path, tmp_path: Path) -> None:
    class Exploit:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return Path.touch, (tmp_path / "owned",)  # type: ignore[return-value]

    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(InputError, match="cannot"):
        load_model(open_any(copy))
    assert not (tmp_path / "owned").exists()


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_any(tmp_path / "nothing")


def test_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json.*holds: nothing"):
        open_any(tmp_path)


def test_no_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="has no weights"):
        open_any(copy)


@pytest.mark.parametrize("keep", [0, 4, 100, 5000])
def test_truncated_weights(copy: Path, keep: int) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="damaged or was copied in part"):
        open_any(copy)


def test_corrupt_header(copy: Path) -> None:
    file = copy / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[8:40] = b"\xff" * 32
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="damaged"):
        open_any(copy)


def test_a_missing_shard(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-1.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"model-1\.safetensors.*missing"):
        open_any(copy)


def test_a_shard_outside_the_checkpoint(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy.parent / "w.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../w.safetensors"}}))
    with pytest.raises(InputError, match="outside the checkpoint"):
        open_any(copy)


def test_a_head_that_was_never_trained_is_refused(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if not k.startswith("classifier")}, copy / "model.safetensors")
    with pytest.raises(InputError, match=r"classifier\.bias.*random numbers"):
        load_model(open_any(copy))


def test_nan_weights(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors["classifier.weight"][0, 0] = float("nan")
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(InputError, match=r"classifier\.weight.*NaN"):
        load_model(open_any(copy))


def test_no_tokenizer(copy: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(InputError, match="has no tokenizer"):
        open_any(copy)


def test_a_broken_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="tokenizer"):
        open_any(copy)


def test_an_unknown_architecture(copy: Path) -> None:
    edit_config(copy, model_type="frobnicator", architectures=["FrobnicatorForSequenceClassification"])
    with pytest.raises(InputError):
        load_model(open_any(copy))


def test_code_in_a_checkpoint_is_not_run(copy: Path) -> None:
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"}
    edit_config(copy, model_type="evil", auto_map=auto_map)
    with pytest.raises(InputError, match="does not run code"):
        open_any(copy)


def test_a_base_model_has_no_task(copy: Path) -> None:
    edit_config(copy, architectures=["BertModel"])
    with pytest.raises(InputError, match=r"BertModel.*text-classification.*--task"):
        open_any(copy)


def test_an_unknown_task_is_refused_with_the_known_ones(text_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'text-classification'"):
        open_any(text_checkpoint, Declared(task="text-clasification"))


@pytest.mark.parametrize("content", ["", "{", "[1]", "\xff"])
def test_a_broken_config(copy: Path, content: str) -> None:
    (copy / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"config\.json"):
        open_any(copy)


def test_regression_is_not_mistaken_for_classification(copy: Path) -> None:
    edit_config(copy, problem_type="regression")
    with pytest.raises(InputError, match="regression is not supported"):
        open_any(copy)


@pytest.mark.parametrize("architecture", ["DistilBert", "Roberta", "Electra"])
def test_other_encoders_open(tmp_path: Path, architecture: str) -> None:
    config = {"pad_token_id": 0, "max_position_embeddings": 65} if architecture == "Roberta" else {}
    path = save_text_checkpoint(tmp_path / architecture, architecture=architecture, **config)
    artifact = open_any(path)
    assert artifact.manifest.preprocessing.kind == "text"
    assert load_model(artifact).num_labels == 2


def test_the_checkpoint_is_never_written_to(text_checkpoint: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in text_checkpoint.iterdir()}
    load_model(open_any(text_checkpoint))
    assert {path.name: path.stat().st_mtime_ns for path in text_checkpoint.iterdir()} == before


def test_labels_that_share_a_name_are_told_apart(image_checkpoint: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(image_checkpoint, tmp_path / "ckpt"))
    edit_config(path, id2label={"0": "crane", "1": "crane", "2": "heron"})
    assert open_any(path).manifest.labels == ("crane (0)", "crane (1)", "heron")


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "frobnicator", "architectures": ["FrobnicatorForSequenceClassification"]},
        {"num_attention_heads": 0},
        {"hidden_act": "nope"},
        {"architectures": [3]},
        {"hidden_size": -1},
        {"pad_token_id": "z"},
        {"pad_token_id": 99999},  # a bare assertion of torch's
        {"chunk_size_feed_forward": 5},
        {"architectures": "BertForSequenceClassification"},
        {"id2label": {"0": "negative", "1": "\ud800"}},
    ],
)
def test_a_config_that_makes_no_sense_is_an_input_error(copy: Path, changes: dict[str, object]) -> None:
    edit_config(copy, **changes)
    with pytest.raises(InputError):
        with_operations(open_any(copy))


@pytest.mark.parametrize("limit", [-1, 0, 1, 3])
def test_a_length_limit_without_room_for_text_is_refused(copy: Path, limit: int) -> None:
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": limit}))
    with pytest.raises(InputError, match=r"no room for text|can't convert negative int"):
        open_any(copy)


def test_only_the_answer_is_asked_for_whatever_the_training_looked_at(copy: Path) -> None:
    edit_config(copy, output_hidden_states=True, output_attentions=True)
    config = load_model(open_any(copy)).config
    assert not config.output_hidden_states
    assert not config.output_attentions


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ({"shape": [10**30]}, "makes no sense"),
        ({"shape": [-2, 32]}, "makes no sense"),
        ({"data_offsets": [5, 2]}, "damaged"),
        ({"data_offsets": [-5, -2]}, "damaged"),
        ({"data_offsets": []}, "not readable"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(copy: Path, tensor: dict[str, object], message: str) -> None:
    content = (copy / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["classifier.weight"].update(tensor)
    changed = json.dumps(header).encode()
    (copy / "model.safetensors").write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + length :])
    with pytest.raises(InputError, match=message):
        open_any(copy)


def test_files_without_a_weight_are_refused(copy: Path) -> None:
    save_file({"ids": torch.arange(3)}, copy / "model.safetensors")
    with pytest.raises(InputError, match="hold no weights"):
        open_any(copy)


def test_a_path_too_long_to_exist() -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        open_any(Path("x" * 5000))
