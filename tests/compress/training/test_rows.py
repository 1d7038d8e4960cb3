"""Rows for training: held out once, each once in an epoch, those of like length together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.training.rows import SimilarLengths, held_out
from compress.verbs import PRUNING_ROWS
from ftc.data import Columns, Dataset


def _texts(texts: list[str]) -> Dataset:
    return Dataset(texts, None, "rows.csv", "abc", Columns(text="text"))


def test_rows_are_held_out_once(data: Dataset) -> None:
    training, judged = held_out(data, 0.25, seed=0)
    assert (len(training), len(judged)) == (30, 10)
    assert held_out(data, 0.0, seed=0) == (data, None)
    assert list(held_out(data, 0.25, seed=0)[1].examples) == list(judged.examples)
    assert list(held_out(data, 0.25, seed=1)[1].examples) != list(judged.examples)


def test_no_text_is_held_out_and_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    training, judged = held_out(_texts([f"text {row % 150}" for row in range(400)]), 0.2, seed=0)
    assert len(judged) == 30
    assert not set(training.examples) & set(judged.examples)
    assert set(training.examples) | set(judged.examples) == {f"text {row}" for row in range(150)}
    assert "250" in capsys.readouterr().err


def test_pruning_saw_no_more_of_the_rows_held_out_than_of_any() -> None:
    data = _texts([f"text {row}" for row in range(10_000)])
    _, judged = held_out(data, 0.1, seed=0)
    seen = set(data.sample(PRUNING_ROWS, seed=0).examples) & set(judged.examples)
    by_chance = 1000 * PRUNING_ROWS / 10_000
    assert len(seen) == pytest.approx(by_chance, abs=5 * (by_chance * (1 - PRUNING_ROWS / 10_000) * 0.9) ** 0.5)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=50)
def test_each_row_once_in_each_epoch(lengths: list[int], batch_size: int, seed: int, epoch: int) -> None:
    sampler = SimilarLengths(np.array(lengths), batch_size, seed)
    sampler.epoch = epoch
    order = list(sampler)
    assert sorted(order) == list(range(len(lengths)))
    assert order == list(sampler), "the order is the epoch's, whenever it is asked for"


def test_batches_hold_rows_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 2000)
    order = np.array(list(SimilarLengths(lengths, 10, 0)))
    grouped = lengths[order].reshape(-1, 10)
    shuffled = np.random.default_rng(1).permutation(lengths).reshape(-1, 10)
    assert (grouped.max(1) - grouped.min(1)).mean() < 0.1 * (shuffled.max(1) - shuffled.min(1)).mean()
