"""Texts that are made of two rows, for a teacher to answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.steps.distill import Distill
from compress.training import splices
from compress.training.splices import with_splices
from compress.verbs import distill
from ftc.artifact import Artifact
from ftc.data import Dataset
from ftc.errors import InputError
from tests.compress.training.test_fragments import rows
from tests.conftest import WORDS

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=8)


@given(TEXTS, st.integers(1, 4), st.integers(0, 5))
def test_made_up_texts_begin_as_their_row_does_and_end_as_another(texts: list[str], times: int, seed: int) -> None:
    found = list(with_splices(rows(*texts), times, seed).examples)
    assert found[: len(texts)] == texts
    assert len(found) == (1 + times) * len(texts)
    for number, made in enumerate(found[len(texts) :]):
        own = texts[number % len(texts)]
        beginnings = [made[:cut] for cut in range(1, len(made)) if own.startswith(made[:cut])]
        assert any(text.endswith(made[len(begun) :].strip()) for begun in beginnings for text in texts)


def test_a_seed_makes_the_same_texts_and_another_seed_others() -> None:
    texts = rows(*(" ".join(np.random.default_rng(row).choice(WORDS, 9)) for row in range(30)))
    one, same, other = (with_splices(texts, 2, seed) for seed in (0, 0, 1))
    assert one.examples == same.examples != other.examples
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_texts_without_spaces_are_cut_between_letters() -> None:
    made = with_splices(rows("甲乙丙丁", "戊己庚辛"), 50, 0).examples[2:]
    assert all(" " not in str(text) for text in made)
    assert len({*made}) > 10


def test_of_empty_texts_none_are_made() -> None:
    assert with_splices(rows("", "a b", " "), 2, 0).examples[:3] == ("", "a b", " ")
    assert len(with_splices(rows("", "a b", " "), 2, 0)) == 5
    assert len(with_splices(rows("", " "), 2, 0)) == 2


def test_labels_do_not_go_with_them() -> None:
    labelled = Dataset(("a b", "c d"), np.array([0, 1]), "rows.csv", "rows", rows("a").columns, ("no", "yes"))
    assert with_splices(labelled, 1, 0).labels is None
    assert with_splices(labelled, 0, 0) is labelled


def test_no_more_are_made_than_a_training_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splices, "_MOST", 5)
    assert len(with_splices(rows("a b", "c d"), 4, 0)) == 7


@pytest.mark.parametrize("example", [("a", "b"), np.zeros((4, 4, 3), np.uint8)])
def test_pairs_and_images_are_refused(example: object) -> None:
    with pytest.raises(InputError, match="splices single texts"):
        with_splices(rows(example, example), 1, 0)


def test_a_student_learns_on_them_unless_told_otherwise(text_root: Artifact, tmp_path: Path) -> None:
    data = rows(*(" ".join(np.random.default_rng(row).choice(WORDS, 9)) for row in range(60)))
    fast = {"epochs": 1.0, "batch_size": 16, "evaluations": 1, "held_out": 0.0}
    usual = distill(text_root, tmp_path / "usual", data=data, layers=1, given=fast)
    plain = distill(text_root, tmp_path / "plain", data=data, layers=1, given={**fast, "augment": 0})
    assert usual.manifest.training is not None
    assert plain.manifest.training is not None
    assert (usual.manifest.training.rows, plain.manifest.training.rows) == (240, 60)


def test_where_labels_count_none_are_made(text_root: Artifact) -> None:
    data = rows("a b", "c d")
    assert Distill.for_model(text_root, data, teacher=text_root).augment > 0
    assert Distill.for_model(text_root, data, teacher=text_root, alpha=0.5).augment == 0
    assert Distill.for_model(text_root, rows(("a", "b")), teacher=text_root).augment == 0
    with pytest.raises(InputError, match="nobody has labelled"):
        Distill(teacher=text_root, alpha=0.5, augment=2)
    with pytest.raises(InputError, match="--augment -1"):
        Distill(teacher=text_root, augment=-1)
