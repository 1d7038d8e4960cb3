"""Percentiles and throughput from raw times."""

from __future__ import annotations

import numpy as np
import pytest

from bench import statistics


def test_percentiles_need_so_many_samples_that_the_largest_is_not_all_they_rest_on() -> None:
    assert statistics.floor(90) == 64
    assert statistics.floor(99) == 662
    random = np.random.default_rng(0)
    samples = random.random((20_000, 64))
    second_largest = np.sort(samples, axis=1)[:, -2]
    assert (second_largest >= 0.9).mean() == pytest.approx(0.99, abs=0.003)


def test_a_percentile_of_too_few_samples_is_not_told() -> None:
    assert statistics.percentile_ns([tuple(range(63))], 90) is None
    assert statistics.percentile_ns([tuple(range(32)), tuple(range(32))], 90) == pytest.approx(28, abs=1)
    assert statistics.percentile_ns([tuple(range(100))], 99) is None
    assert statistics.percentile_ns([(3,), (5,), (4,)], 50) == 4


def test_what_a_query_waits_for_is_not_its_own_time() -> None:
    latencies, arrivals = [4000, 7000, 10_000, 4000], [1000, 2000, 3000, 50_000]
    assert statistics.service_ns(latencies, arrivals).tolist() == [4000] * 4


def test_throughput_counts_rows() -> None:
    assert statistics.rows_per_second([(10**9, 10**9), (10**9,)], batch_size=8) == 8.0
    assert statistics.rows_per_second([(10**9,), (3 * 10**9,)], batch_size=8) == 4.0, "rounds may hold other batches"
