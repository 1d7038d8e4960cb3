"""Texts that are part of others teach nothing that the others do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.steps.distill import Distill
from compress.training.fragments import without_fragments
from compress.verbs import distill
from ftc.artifact import Artifact
from ftc.data import Columns, Dataset
from ftc.errors import InputError
from tests.conftest import WORDS


def rows(*examples: object) -> Dataset:
    return Dataset(tuple(examples), None, "rows.csv", "rows", Columns())


@pytest.mark.parametrize(
    ("examples", "left"),
    [
        (["a fine film", "A  fine", "film", "fine film indeed", "fin"], ["a fine film", "fine film indeed", "fin"]),
        (["the same", "the same"], ["the same"]),
        (["a film", "film a"], ["a film", "film a"]),
        (["", "a film"], ["", "a film"]),
        ([("a", "b"), ("a film", "b")], [("a", "b"), ("a film", "b")]),
    ],
)
def test_what_is_part_of_another_row_goes(examples: list[object], left: list[object]) -> None:
    assert list(without_fragments(rows(*examples)).examples) == left


def test_what_was_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = without_fragments(rows("a fine film", "fine", "film"))
    assert "left out of rows.csv, being part of a longer row: 2" in capsys.readouterr().err
    assert found.fingerprint != "rows"


def test_images_are_left_as_they_are() -> None:
    images = rows(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8))
    assert without_fragments(images) is images


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=5).map(" ".join), min_size=1, max_size=20))
def test_whole_rows_hold_all_others_and_none_of_themselves(texts: list[str]) -> None:
    whole = [f" {text} " for text in without_fragments(rows(*texts)).examples]
    assert all(any(f" {text} " in other for other in whole) for text in texts)
    assert not any(one in other for place, one in enumerate(whole) for other in whole[:place] + whole[place + 1 :])


def test_students_learn_on_whole_rows_unless_told_otherwise(text_root: Artifact, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sentences = [" ".join(random.choice(WORDS, 9)) for _ in range(60)]
    data = rows(*sentences, *(" ".join(sentence.split()[:6]) for sentence in sentences))
    fast = {"epochs": 1.0, "batch_size": 16, "evaluations": 1, "held_out": 0.0, "augment": 0}
    whole = distill(text_root, tmp_path / "whole", data=data, layers=1, given=fast)
    every = distill(text_root, tmp_path / "all", data=data, layers=1, given={**fast, "fragments": True})
    assert (whole.manifest.training.rows, every.manifest.training.rows) == (60, 120)


def test_too_few_whole_rows(text_root: Artifact, tmp_path: Path) -> None:
    words = np.random.default_rng(0).choice(WORDS, 40).tolist()
    data = rows(" ".join(words), *(" ".join(words[:count]) for count in range(1, 40)))
    with pytest.raises(InputError, match=r"of 40 rows of rows\.csv all but 1 are part of these.*--fragments"):
        distill(text_root, tmp_path, data=data, layers=1, given={"epochs": 1.0, "held_out": 0.0})


def test_where_labels_count_all_texts_stay(text_root: Artifact) -> None:
    assert not Distill.for_model(text_root, None, teacher=text_root).fragments
    assert Distill.for_model(text_root, None, teacher=text_root, alpha=0.5).fragments
