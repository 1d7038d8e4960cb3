"""Screening: a hopeless candidate is found on few rows, a good one is never called hopeless by looking often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.screening import LOOKS, answers, screened
from ftc.artifact import Artifact
from ftc.data import Dataset


@given(
    lost=st.integers(0, 60),
    gained=st.integers(0, 60),
    rows=st.integers(130, 400),
    allowed=st.floats(0, 20),
)
def test_the_interval_holds_the_points_and_decides(lost: int, gained: int, rows: int, allowed: float) -> None:
    targets = np.zeros(rows, np.int64)
    reference, candidate = targets.copy(), targets.copy()
    candidate[:lost] = 1
    reference[lost : lost + gained] = 1
    found = screened(targets, reference, candidate, allowed)
    assert found.points == pytest.approx(100 * (lost - gained) / rows)
    assert found.low_points < found.points < found.high_points
    assert (found.verdict == "hopeless") == (found.low_points > allowed)
    assert (found.verdict == "inside") == (found.high_points <= allowed)


def test_looking_often_seldom_condemns_what_is_within_the_budget() -> None:
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        targets = np.zeros(1600, np.int64)
        reference = (random.random(1600) < 0.10).astype(np.int64)
        # as often wrong as the reference, on rows of its own: nothing is lost
        candidate = np.where(random.random(1600) < 0.9, reference, random.random(1600) < 0.10).astype(np.int64)
        looks = (screened(targets[:n], reference[:n], candidate[:n], 0.0).verdict for n in LOOKS)
        wrong += "hopeless" in looks
    assert wrong <= 400 * 0.05, "no more than the interval allows"


def test_the_rows_of_part_of_the_data_are_compared_with_the_same_rows() -> None:
    targets = np.array([0, 1] * 100)
    found = screened(targets, targets, 1 - targets[:50], 5.0)
    assert (found.rows, found.points, found.score, found.verdict) == (50, 100.0, 0.0, "hopeless")


def test_a_candidate_that_answers_everything_wrongly_is_not_asked_to_the_end(
    text_onnx: Artifact, text_data: Dataset
) -> None:
    whole = answers(text_onnx, text_data, threads=1)
    assert whole.shape == (40,)
    never = 1 - whole  # what a reference would have to answer for this candidate to agree on no row
    labelled = text_data.part(range(40), "same")
    assert labelled.labels is not None
    swapped = Dataset(labelled.examples, never, labelled.source, "x", labelled.columns, labelled.classes)
    asked: list[int] = []
    part = answers(
        text_onnx,
        swapped,
        threads=1,
        stop=(20,),
        reference=never,
        allowed_points=1.0,
        advance=lambda by=1: asked.append(by),
    )
    assert part.tolist() == whole[:20].tolist()
    assert sum(asked) == 20
