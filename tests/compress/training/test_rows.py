"""Rows for training: held out once, each once in an epoch, those of like length together."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.training.rows import SimilarLengths, held_out
from ftc.data import Dataset


def test_rows_are_held_out_once(data: Dataset) -> None:
    training, judged = held_out(data, 0.25, seed=0)
    assert (len(training), len(judged)) == (30, 10)
    assert held_out(data, 0.0, seed=0) == (data, None)


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
