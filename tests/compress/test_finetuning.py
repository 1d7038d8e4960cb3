"""Fine-tuning: a base without a head becomes a checkpoint that tells the classes of the data."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from compress.choices import TrainingPrecision
from compress.finetuning import Finetuning, finetune
from compress.training.defaults import usual_rate
from compress.verbs import quantize
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset
from ftc.data import load as load_data
from ftc.errors import InputError
from ftc.huggingface.base import open_base, with_fresh_head
from ftc.manifest import TrainingRecord
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task
from tests.conftest import WORDS, save_image_checkpoint, save_text_checkpoint

CLASSES = ("bad", "charming", "early")
FAST = {"epochs": 25.0, "learning_rate": 2e-3, "batch_size": 8, "evaluations": 3, "precision": "float32"}


def write_rows(path: Path, rows: int = 90, seed: int = 0, extra: tuple[str, ...] = ()) -> str:
    """Texts whose first word is their class."""
    random = np.random.default_rng(seed)
    lines = [f"{CLASSES[row % 3]} {' '.join(random.choice(WORDS, 3))},{CLASSES[row % 3]}" for row in range(rows)]
    path.write_text("\n".join(["text,label", *lines, *extra]) + "\n")
    return str(path)


def rows_of(source: str, like: Dataset | None = None) -> Dataset:
    classes, owner = (like.classes, like.source) if like else (None, None)
    return load_data(source, modality="text", classes=classes, need_labels=True, owner=owner)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder without a head, as pretraining leaves it."""
    whole = save_text_checkpoint(tmp_path_factory.mktemp("bases") / "whole", initializer_range=0.1)
    path = whole.with_name("body")
    shutil.copytree(whole, path, ignore=shutil.ignore_patterns("model.safetensors"))
    transformers.BertModel.from_pretrained(whole).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    place = tmp_path_factory.mktemp("tuned")
    return finetune(base, place / "intents", data=rows_of(write_rows(place / "rows.csv")), given=dict(FAST))


@pytest.fixture(scope="module")
def masked_base(base: Path) -> Path:
    """An encoder as pretraining on masked words leaves it: without a pooler."""
    path = base.with_name("masked")
    shutil.copytree(base, path, ignore=shutil.ignore_patterns("model.safetensors"))
    transformers.BertForMaskedLM.from_pretrained(base).save_pretrained(path)
    return path


def record_of(artifact: Artifact) -> TrainingRecord:
    assert artifact.manifest.training is not None
    return artifact.manifest.training


def test_a_body_learns_classes_that_the_data_names(tuned: Artifact) -> None:
    record = record_of(tuned)
    assert tuned.manifest.labels == CLASSES
    assert record.test_score is not None
    assert record.test_score > 0.8
    assert record.score_after > record.score_before
    assert tuned.manifest.is_root
    assert tuned.manifest.root_path == str(tuned.path.resolve())


def test_seven_two_one_of_each_class(tuned: Artifact) -> None:
    record = record_of(tuned)
    total = record.rows + record.held_out + record.test_rows
    assert record.rows / total == pytest.approx(0.7, abs=0.04)
    assert record.test_rows / total == pytest.approx(0.1, abs=0.04)


def test_the_result_is_a_checkpoint_for_everyone(tuned: Artifact, tmp_path: Path) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tuned.path)
    assert model.config.id2label == dict(enumerate(CLASSES))
    int8 = quantize(open_any(tuned.path), tmp_path)
    assert int8.manifest.root_id == tuned.manifest.id
    assert int8.manifest.labels == CLASSES


def test_the_same_command_takes_what_is_there(base: Path, tuned: Artifact) -> None:
    source = str(tuned.path.parent / "rows.csv")
    again = finetune(base, tuned.path, data=rows_of(source), given=dict(FAST))
    assert again.manifest == tuned.manifest
    with pytest.raises(InputError, match="other content"):
        finetune(base, tuned.path, data=rows_of(source), given={**FAST, "seed": 1})


def test_other_names_of_the_same_classes_are_other_content(base: Path, tuned: Artifact, tmp_path: Path) -> None:
    lines = (tuned.path.parent / "rows.csv").read_text().splitlines()
    renamed = [f"{line.rpartition(',')[0]},{line.rpartition(',')[2]}-er" for line in lines[1:]]
    (tmp_path / "rows.csv").write_text("\n".join([lines[0], *renamed]) + "\n")
    with pytest.raises(InputError, match="other content"):
        finetune(base, tuned.path, data=rows_of(str(tmp_path / "rows.csv")), given=dict(FAST))


def test_rows_that_leak_are_left_out_and_counted(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = write_rows(tmp_path / "test.csv", rows=30, seed=1)
    copied = Path(test).read_text().splitlines()[1:6]
    repeated = ("bad bad bad bad,bad", "bad bad bad bad,bad", "Bad bad bad bad ,charming")
    data = rows_of(write_rows(tmp_path / "train.csv", extra=(*(line.upper() for line in copied), *repeated)))
    made = finetune(base, tmp_path / "made", data=data, test=rows_of(test, data), given={**FAST, "epochs": 1.0})
    told = capsys.readouterr().err
    assert "being among the rows that are to judge: 5\n" in told
    assert "with several labels, of which the first counts: 1\n" in told
    record = record_of(made)
    distinct = len({line.lower() for line in Path(data.source).read_text().splitlines()[1:91]})
    assert record.rows + record.held_out == distinct + 1
    assert record.test_rows == 30


def test_low_rank_updates_end_in_ordinary_weights(base: Path, tuned: Artifact, tmp_path: Path) -> None:
    data = rows_of(str(tuned.path.parent / "rows.csv"))
    given = {name: value for name, value in FAST.items() if name != "learning_rate"}
    made = finetune(base, tmp_path / "lora", data=data, given={**given, "lora": 4, "learning_rate": 1e-2})
    assert record_of(made).test_score > 0.6
    names = set(transformers.AutoModelForSequenceClassification.from_pretrained(made.path).state_dict())
    assert names == set(transformers.AutoModelForSequenceClassification.from_pretrained(tuned.path).state_dict())


def test_images_are_learned_too(tmp_path: Path) -> None:
    base = save_image_checkpoint(tmp_path / "base")
    random = np.random.default_rng(0)
    images, classes = random.integers(0, 60, (60, 32, 32, 3), np.uint8), np.arange(60) % 4
    for row, number in enumerate(classes):
        images[row, 8 * number : 8 * number + 8] += 180  # a bright stripe whose place is the class
    np.savez(tmp_path / "rows.npz", x=images, y=classes)
    data = load_data(str(tmp_path / "rows.npz"), modality="image", classes=None, need_labels=True)
    made = finetune(base, tmp_path / "made", data=data, given={**FAST, "epochs": 8.0})
    assert made.manifest.labels == ("0", "1", "2", "3")
    assert record_of(made).score_after > 0.5


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["good,1"] * 30, "at least two classes"),
        ([f"word{row},{row / 7:.3f}" for row in range(40)], "not classes|no classes"),
        ([f"word{row},class{row}" for row in range(40)], "these are no classes"),
        (["good,a", "bad,b"] * 4, "at least 20"),
    ],
)
def test_rows_that_teach_nothing(base: Path, tmp_path: Path, lines: list[str], message: str) -> None:
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    with pytest.raises(InputError, match=message):
        finetune(base, tmp_path / "made", data=rows_of(str(tmp_path / "rows.csv")), given={})
    assert not (tmp_path / "made").exists()


def test_what_is_no_base(tmp_path: Path, base: Path, tuned: Artifact) -> None:
    data = rows_of(str(tuned.path.parent / "rows.csv"))
    with pytest.raises(InputError, match="made by ftc"):
        finetune(tuned.path, tmp_path / "made", data=data)
    bare = shutil.copytree(base, tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    (bare / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match="neither a tokenizer nor"):
        finetune(bare, tmp_path / "made", data=data)
    with pytest.raises(InputError, match="rank"):
        finetune(base, tmp_path / "made", data=data, given={"lora": 0})


def test_classes_stay_in_proportion(base: Path, tmp_path: Path) -> None:
    from ftc.data.splits import stratified

    lines = [f"{WORDS[row % len(WORDS)]} {row},{'rare' if row % 20 == 0 else 'common'}" for row in range(200)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    staying, apart = stratified(rows_of(str(tmp_path / "rows.csv")), 0.2, seed=0)
    assert staying.labels is not None
    assert apart.labels is not None
    assert Counter(apart.labels.tolist()) == {0: 38, 1: 2}
    assert Counter(staying.labels.tolist()) == {0: 152, 1: 8}
    assert not set(staying.examples) & set(apart.examples)


def test_the_head_is_fresh_even_if_the_base_has_one_for_as_many_classes(tmp_path: Path) -> None:
    whole = save_text_checkpoint(tmp_path / "whole")
    base = open_base(whole)
    models = [with_fresh_head(base, ("no", "yes"), seed) for seed in (5, 5, 6)]
    kept = transformers.AutoModelForSequenceClassification.from_pretrained(whole)
    heads = [model.classifier.weight for model in (*models, kept)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert not torch.equal(heads[0], heads[3])
    query = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(models[0].get_parameter(query), kept.get_parameter(query)), "the body is the base's"


def test_one_seed_draws_one_head_and_one_pooler(
    masked_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = []
    for before in (1, 2):
        torch.manual_seed(before)  # as another process would stand elsewhere
        models.append(with_fresh_head(open_base(masked_base), ("no", "yes"), seed=5))
    assert "begins at random: bert.pooler.dense, classifier\n" in capsys.readouterr().err
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_rows_of_both_files_that_judge_are_left_out_of_one(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = rows_of(write_rows(tmp_path / "train.csv"))
    test = rows_of(write_rows(tmp_path / "test.csv", rows=30, seed=1), data)
    both = rows_of(write_rows(tmp_path / "both.csv", rows=60, seed=1), data)
    made = finetune(base, tmp_path / "made", data=data, validation=both, test=test, given={**FAST, "epochs": 1.0})
    assert "being among the rows that are to judge: 30\n" in capsys.readouterr().err
    assert record_of(made).test_rows == 30
    assert record_of(made).held_out <= 30


@pytest.mark.parametrize("share", [float("nan"), 5.0, -0.5, 0.9999])
def test_parts_that_leave_nothing(base: Path, tmp_path: Path, share: float) -> None:
    data = rows_of(write_rows(tmp_path / "rows.csv"))
    with pytest.raises(InputError, match=r"--held-out|hold out less"):
        finetune(base, tmp_path / "made", data=data, given={**FAST, "held_out": share})


def test_the_recorded_score_is_the_checkpoint_s(base: Path, tmp_path: Path) -> None:
    data = rows_of(write_rows(tmp_path / "train.csv"))
    test = rows_of(write_rows(tmp_path / "test.csv", rows=60, seed=1), data)
    given = {**FAST, "epochs": 2.0, "precision": TrainingPrecision.BFLOAT16, "quantization_aware": True}
    made = finetune(base, tmp_path / "made", data=data, test=test, given=given)
    answers = open_session(made).run(open_task(made).encode(test.examples))
    assert record_of(made).test_score == open_task(made).score(answers, test.labels)["accuracy"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"held_out": 0.2}, "--held-out takes rows of .*--validation"),
        ({"lora": 4, "quantization_aware": True}, "--quantization-aware.*--lora"),
        ({"lora": 4, "head_rate": 5.0}, "--lora .*--head-rate"),
    ],
)
def test_options_that_contradict_each_other(
    base: Path, tuned: Artifact, tmp_path: Path, given: dict[str, object], message: str
) -> None:
    data = rows_of(str(tuned.path.parent / "rows.csv"))
    with pytest.raises(InputError, match=message):
        finetune(base, tmp_path / "made", data=data, validation=data, given={**FAST, **given})
    assert not list(tmp_path.iterdir())


def test_what_is_held_out_is_a_part_of_all_rows(base: Path, tmp_path: Path) -> None:
    lines = [f"{CLASSES[row % 2]} {' '.join(f'{row:09b}')},{CLASSES[row % 2]}" for row in range(200)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    given = {**FAST, "epochs": 0.1, "held_out": 0.45}
    record = record_of(finetune(base, tmp_path / "made", data=rows_of(str(tmp_path / "rows.csv")), given=given))
    assert (record.rows, record.held_out, record.test_rows) == (90, 90, 20)


@pytest.mark.parametrize("option", [{"lora": 4}, {"gradient_checkpointing": True}])
def test_what_a_convolutional_network_cannot_do(tmp_path: Path, option: dict[str, object]) -> None:
    base = save_image_checkpoint(tmp_path / "base")
    np.savez(tmp_path / "rows.npz", x=np.arange(40 * 48).astype(np.uint8).reshape(40, 4, 4, 3), y=np.arange(40) % 2)
    data = load_data(str(tmp_path / "rows.npz"), modality="image", classes=None, need_labels=True)
    with pytest.raises(InputError, match=f"--{next(iter(option)).replace('_', '-')}.*ResNet.*Leave it out"):
        finetune(base, tmp_path / "made", data=data, given={**FAST, **option})
    assert {path.name for path in tmp_path.iterdir()} == {"base", "rows.npz"}


def test_a_body_that_has_no_name_of_its_own_is_not_drawn_anew(tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.SiglipConfig(vision_config={**sizes, "image_size": 16, "patch_size": 8}, text_config=sizes)
    base = tmp_path / "base"
    transformers.SiglipForImageClassification(config).save_pretrained(base)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(base)
    with pytest.raises(InputError, match="SiglipForImageClassification does not keep its body apart"):
        with_fresh_head(open_base(base), ("no", "yes"), 0)


@pytest.mark.parametrize(
    ("given", "rate", "head_rate"),
    [
        ({}, 1, 10),
        ({"lora": 4}, 10, 1),
        ({"train_layers": 0}, 10, 1),
        ({"train_layers": 0, "learning_rate": 0.5}, 0, 1),
    ],
)
def test_what_begins_from_nothing_learns_ten_times_as_fast(
    base: Path, given: dict[str, object], rate: float, head_rate: float
) -> None:
    options = Finetuning.for_base(open_base(base), 1000, 2, **given)
    assert options.learning_rate == pytest.approx(rate * usual_rate(open_base(base).config) or 0.5)
    assert options.head_rate == head_rate


def test_low_rank_updates_of_a_network_with_two_layers_in_its_head(tmp_path: Path) -> None:
    base = save_text_checkpoint(tmp_path / "base", architecture="DistilBert")
    made = finetune(
        base,
        tmp_path / "made",
        data=rows_of(write_rows(tmp_path / "rows.csv")),
        given={**FAST, "epochs": 1.0, "evaluations": 1, "lora": 4},
    )
    assert set(transformers.DistilBertForSequenceClassification.from_pretrained(made.path).state_dict()) == set(
        transformers.DistilBertForSequenceClassification.from_pretrained(base).state_dict()
    )
