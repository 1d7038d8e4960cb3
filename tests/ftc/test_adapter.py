"""PEFT adapters are checkpoints: merged into their base, once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from compress.verbs import quantize
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data.dataset import Dataset
from ftc.declared import Declared
from ftc.errors import InputError
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task
from tests.conftest import save_text_checkpoint

peft = pytest.importorskip("peft", reason="adapters need peft: pip install -c constraints.txt -e '.[torch]'")
LABELS = ("no", "perhaps", "yes")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def save_adapter(path: Path, base: Path, *, task_type: str | None = "SEQ_CLS") -> torch.nn.Module:
    """An adapter for three classes on a base for two, with updates that are not nothing; the adapted network."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=len(LABELS), ignore_mismatched_sizes=True
    )
    torch.manual_seed(1)
    config = peft.LoraConfig(task_type=task_type, r=4, target_modules=["query", "value"], init_lora_weights=False)
    adapted = peft.get_peft_model(model, config)
    adapted.save_pretrained(path)
    return adapted.eval()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_text_checkpoint(tmp_path / "base")


def test_it_answers_as_base_and_adapter_do(base: Path, tmp_path: Path, text_data: Dataset, cache: Path) -> None:
    adapted = save_adapter(tmp_path / "adapter", base)
    artifact = open_any(tmp_path / "adapter", Declared(labels=LABELS))
    assert artifact.manifest.labels == LABELS
    assert artifact.manifest.name == "adapter"
    inputs = open_task(artifact).encode(text_data.examples[:6])
    answers = open_session(artifact).run(inputs)["logits"]
    with torch.no_grad():
        wanted = adapted(**{name: torch.from_numpy(values) for name, values in inputs.items()}).logits.numpy()
    np.testing.assert_allclose(answers, wanted, atol=1e-4)
    assert open_any(tmp_path / "adapter", Declared(labels=LABELS)).manifest.id == artifact.manifest.id
    assert len(list((cache / "ftc" / "merged").iterdir())) == 1, "merged once"


def test_it_is_quantized_like_any_checkpoint(base: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", base)
    root: Artifact = open_any(tmp_path / "adapter", Declared(labels=LABELS))
    int8 = quantize(root, tmp_path / "artifacts")
    assert int8.manifest.labels == LABELS
    assert open_any(Path(int8.manifest.root_path)).manifest.id == root.manifest.id, "the root is found again"


def test_unnamed_classes_are_a_caution(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_adapter(tmp_path / "adapter", base)
    assert open_any(tmp_path / "adapter").manifest.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert "--labels" in capsys.readouterr().err
    with pytest.raises(InputError, match="3 classes"):
        open_any(tmp_path / "adapter", Declared(labels=("a", "b")))


def test_a_base_that_is_not_here(base: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", base)
    settings = tmp_path / "adapter" / "adapter_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": "nobody/nothing"}))
    with pytest.raises(InputError, match="nobody/nothing"):
        open_any(tmp_path / "adapter")


def test_an_adapter_without_head_on_a_body_without_head(base: Path, tmp_path: Path) -> None:
    body = shutil.copytree(base, tmp_path / "body", ignore=shutil.ignore_patterns("model.safetensors"))
    transformers.BertModel.from_pretrained(base).save_pretrained(body)
    save_adapter(tmp_path / "adapter", body, task_type=None)
    with pytest.raises(InputError, match="would be random"):
        open_any(tmp_path / "adapter")


@pytest.mark.parametrize("damage", ["pickled", "cut", "settings"])
def test_damaged_adapters(base: Path, tmp_path: Path, damage: str) -> None:
    save_adapter(tmp_path / "adapter", base)
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    if damage == "pickled":
        weights.rename(weights.with_suffix(".bin"))
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    else:
        (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="adapter"):
        open_any(tmp_path / "adapter")


@pytest.mark.parametrize("change", ["missing", "extra", "infinite"])
def test_weights_that_do_not_fit_the_base(base: Path, tmp_path: Path, change: str) -> None:
    save_adapter(tmp_path / "adapter", base)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    weights = load_file(file)
    first = next(name for name in weights if "lora_A" in name)
    if change == "missing":
        del weights[first]
    elif change == "extra":
        weights[first.replace("layer.0", "layer.9")] = weights[first].clone()
    else:
        weights[first] = torch.full_like(weights[first], float("inf"))
    save_file(weights, file)
    with pytest.raises(InputError, match=r"adapter.*(missing or belong|infinite)"):
        open_any(tmp_path / "adapter")


def test_a_tokenizer_of_its_own_is_noticed(base: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", base)
    before = open_any(tmp_path / "adapter").manifest
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (tmp_path / "adapter" / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert open_any(tmp_path / "adapter").manifest.root_path != before.root_path
