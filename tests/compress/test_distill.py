"""Distillation as a verb: who learns from whom, and what the result is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compress import parity
from compress.training import kept, pace
from compress.verbs import distill, prune, quantize
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset
from ftc.data import load as load_data
from ftc.errors import InputError, RunError
from tests.conftest import TEXT_LABELS, WORDS, save_image_checkpoint, save_text_checkpoint

FAST = {"epochs": 8.0, "learning_rate": 2e-3, "batch_size": 16, "evaluations": 2, "augment": 0}


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    random = np.random.default_rng(0)
    path.write_text("\n".join(["text", *(" ".join(random.choice(WORDS, 3 + row % 8)) for row in range(160))]) + "\n")
    return load_data(str(path), modality="text", classes=TEXT_LABELS)


@pytest.fixture(scope="module")
def pruned(text_checkpoint: Path, unlabelled: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    place = tmp_path_factory.mktemp("pruned")
    return prune(open_any(text_checkpoint), place, data=unlabelled, given={"keep": 0.4})


@pytest.fixture(scope="module")
def recovered(pruned: Artifact, unlabelled: Dataset) -> Artifact:
    return distill(pruned, pruned.path.parent, data=unlabelled, given=FAST)


def test_a_pruned_network_recovers_from_its_root_without_labels(recovered: Artifact, pruned: Artifact) -> None:
    record = recovered.manifest.training
    assert record is not None
    assert record.teacher_id == pruned.manifest.root_id
    assert record.metric == "agreement with tiny-bert"
    assert record.curve[-1].loss < record.curve[1].loss
    assert record.score_after >= record.score_before
    assert recovered.manifest.pruning == pruned.manifest.pruning, "what was cut stays cut"


def test_what_has_learned_is_quantized_like_any_checkpoint(recovered: Artifact, tmp_path: Path) -> None:
    int8 = quantize(recovered, tmp_path)
    assert int8.manifest.training == recovered.manifest.training
    assert int8.manifest.root_id == recovered.manifest.root_id


def test_the_same_command_takes_what_is_there(
    recovered: Artifact, pruned: Artifact, unlabelled: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    again = distill(pruned, pruned.path.parent, data=unlabelled, given=FAST)
    assert again.manifest == recovered.manifest
    assert "already there" in capsys.readouterr().err


def test_a_student_of_its_own_learns_from_a_teacher(text_checkpoint: Path, unlabelled: Dataset, tmp_path: Path) -> None:
    student = open_any(save_text_checkpoint(tmp_path / "small", seed=2, hidden_size=16, num_hidden_layers=1))
    made = distill(open_any(text_checkpoint), tmp_path / "made", data=unlabelled, student=student, given=FAST)
    assert made.manifest.root_id == student.manifest.id
    with pytest.raises(InputError, match="--hidden-weight"):
        distill(
            open_any(text_checkpoint),
            tmp_path / "other",
            data=unlabelled,
            student=student,
            given={**FAST, "hidden_weight": 1.0},
        )


def test_nobody_learns_from_itself(text_root: Artifact, unlabelled: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"from itself.*--layers"):
        distill(text_root, tmp_path, data=unlabelled)


def test_teachers_that_do_not_fit(text_root: Artifact, unlabelled: Dataset, tmp_path: Path) -> None:
    other = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    stranger = open_any(save_text_checkpoint(tmp_path / "stranger", **other))
    with pytest.raises(InputError, match="must be the same"):
        distill(text_root, tmp_path, data=unlabelled, teacher=stranger)
    with pytest.raises(InputError, match="must be the same"):
        distill(text_root, tmp_path, data=unlabelled, teacher=open_any(save_image_checkpoint(tmp_path / "images")))
    trimmed = prune(text_root, tmp_path, data=unlabelled.head(3), vocabulary=True)
    with pytest.raises(InputError, match="reads other tokens"):
        distill(trimmed, tmp_path, data=unlabelled)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": 0.0}, "--temperature 0"),
        ({"temperature": float("inf")}, "--temperature inf"),
        ({"hidden_weight": float("inf")}, "--hidden-weight inf"),
        ({"alpha": 1.5}, "--alpha 1.5"),
        ({"relation_weight": -1.0}, "--relation-weight -1"),
        ({"keep": 0.5}, "--keep is no option of distill"),
    ],
)
def test_options_that_make_no_sense(
    text_root: Artifact, unlabelled: Dataset, tmp_path: Path, given: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        distill(text_root, tmp_path, data=unlabelled, teacher=text_root, given=given)
    with pytest.raises(InputError, match=message):
        distill(text_root, tmp_path, data=unlabelled, layers=1, given=given)
    assert not list(tmp_path.iterdir()), "refused before the student was made"


def test_labels_that_are_asked_for_must_be_there(text_root: Artifact, unlabelled: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--alpha 0\.5.*has none"):
        distill(text_root, tmp_path, data=unlabelled, teacher=text_root, given={"alpha": 0.5})


@pytest.mark.parametrize("role", ["source", "teacher", "student"])
def test_what_is_exported_neither_teaches_nor_learns(
    text_root: Artifact, text_onnx: Artifact, unlabelled: Dataset, tmp_path: Path, role: str
) -> None:
    source = text_onnx if role == "source" else text_root
    others = {} if role == "source" else {role: text_onnx}
    with pytest.raises(InputError, match=r"tiny-bert-onnx is onnx; .*made of"):
        distill(source, tmp_path, data=unlabelled, **others)


def test_fewer_layers_of_other_rows_are_not_taken_and_not_replaced(
    text_root: Artifact, unlabelled: Dataset, tmp_path: Path
) -> None:
    between = prune(text_root, tmp_path, data=unlabelled.head(100), given={"layers": 1})
    with pytest.raises(InputError, match=r"on the way.*--artifacts") as told:
        distill(text_root, tmp_path, data=unlabelled, layers=1, given=FAST, force=True)
    assert str(between.path) in str(told.value)
    assert "--force" not in str(told.value)
    assert open_any(between.path).manifest == between.manifest


def test_what_a_training_keeps_goes_when_its_result_is_sealed(
    text_root: Artifact, unlabelled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = open_any(save_text_checkpoint(tmp_path / "teacher", seed=4))
    monkeypatch.setattr(pace, "_SAVED_EVERY_S", 0.0)
    monkeypatch.setattr(pace, "_SAVING_SHARE", 1e9)

    def full(*_: object, **__: object) -> None:
        raise RunError("no space left")

    def run() -> Artifact:
        return distill(text_root, tmp_path / "made", data=unlabelled, teacher=teacher, given={**FAST, "epochs": 1.0})

    with monkeypatch.context() as patched, pytest.raises(RunError, match="no space left"):
        patched.setattr(parity, "compare", full)
        run()
    (place,) = (tmp_path / "made").glob(".ftc-training-*")
    assert kept.last_state(place).step > 0, "what it has learned outlives what failed after it"
    run()
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["tiny-bert-distilled"]


def test_too_few_rows(text_root: Artifact, unlabelled: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 32 rows"):
        distill(text_root, tmp_path, data=unlabelled.head(5), teacher=text_root)


def test_images_learn_from_images(tmp_path: Path, image_data: Dataset) -> None:
    teacher, student = (open_any(save_image_checkpoint(tmp_path / str(seed), seed=seed)) for seed in (0, 1))
    rows = image_data.part([*range(len(image_data)), *range(10)], "twice")
    made = distill(teacher, tmp_path / "made", data=rows, student=student, given={**FAST, "epochs": 2.0})
    assert made.manifest.training.teacher_id == teacher.manifest.id


def test_fewer_layers_learn_from_all_of_them(text_root: Artifact, unlabelled: Dataset, tmp_path: Path) -> None:
    made = distill(text_root, tmp_path, data=unlabelled, layers=1, given=FAST)
    assert [link.step.name for link in made.manifest.lineage[1:]] == ["drop-layers", "distill"]
    assert made.manifest.training.teacher_id == text_root.manifest.id
    assert made.manifest.training.curve[-1].loss < made.manifest.training.curve[1].loss
    with pytest.raises(InputError, match="choose one"):
        distill(text_root, tmp_path, data=unlabelled, layers=1, student=text_root)
