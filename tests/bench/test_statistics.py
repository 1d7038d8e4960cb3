"""Numbers from raw times: properties that hold for any times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import statistics

TIMES = st.lists(st.lists(st.integers(1, 10**9), min_size=1, max_size=8).map(tuple), min_size=1, max_size=15)
REFERENCE_SEED = 5


@given(TIMES, st.integers(1, 50))
def test_scaling_every_time_scales_the_ratio_exactly(times: list[tuple[int, ...]], factor: int) -> None:
    slower = [tuple(value * factor for value in row) for row in times]
    ratio = statistics.speed_ratio(slower, times)
    assert ratio.value == pytest.approx(factor)
    assert (ratio.low, ratio.high) == pytest.approx((factor, factor))


@given(TIMES)
def test_a_candidate_never_beats_itself(times: list[tuple[int, ...]]) -> None:
    ratio = statistics.speed_ratio(times, times)
    assert (ratio.low, ratio.value, ratio.high) == (1.0, 1.0, 1.0)
    assert not ratio.is_faster
    assert not ratio.is_slower


@given(TIMES, st.lists(st.integers(1, 100), min_size=15, max_size=15))
def test_what_slows_a_whole_round_down_cancels_out(times: list[tuple[int, ...]], slowdown: list[int]) -> None:
    twice = [tuple(2 * value for value in row) for row in times]

    def slowed(rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [tuple(v * by for v in row) for row, by in zip(rows, slowdown, strict=False)]

    assert statistics.speed_ratio(slowed(twice), slowed(times)).value == pytest.approx(2.0)


@given(TIMES, TIMES)
def test_the_interval_holds_the_median_and_repeats(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    rounds = min(len(a), len(b))
    first = statistics.speed_ratio(a[:rounds], b[:rounds], seed=1)
    assert first.low <= first.value <= first.high
    assert statistics.speed_ratio(a[:rounds], b[:rounds], seed=1) == first


def test_equal_candidates_seldom_count_as_different() -> None:
    random = np.random.default_rng(REFERENCE_SEED)
    claimed = 0
    for _ in range(200):
        a, b = random.lognormal(10, 0.1, (2, 20, 8))
        ratio = statistics.speed_ratio(a, b)
        claimed += ratio.is_faster or ratio.is_slower
    # nominally 5 % of 200; the percentile interval of a median over 20 rounds is a little too narrow
    assert claimed <= 24


def test_rounds_must_be_paired() -> None:
    with pytest.raises(ValueError, match="shorter"):
        statistics.speed_ratio([(1,), (2,)], [(1,)])


def test_p90_needs_64_samples() -> None:
    assert statistics.p90_ns([tuple(range(63))]) is None
    assert statistics.p90_ns([tuple(range(32)), tuple(range(32))]) == pytest.approx(28, abs=1)


def test_throughput_counts_rows() -> None:
    assert statistics.rows_per_second([(10**9, 10**9), (10**9,)], batch_size=8) == 8.0
