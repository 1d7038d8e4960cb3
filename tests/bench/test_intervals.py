"""Ratios and their intervals: properties that hold for any times, and coverage under noise that is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import loads
from bench.drive import Answers
from bench.intervals import LEAST_ROUNDS, LEAST_SPREAD, PROCESS_SPREAD, T_975, Ratio, speed_ratio
from bench.loads import ONE, SESSION
from bench.side_by_side import side_by_side
from ftc.measurement import Turn

TIMES = st.lists(st.lists(st.integers(1, 10**9), min_size=8, max_size=8).map(tuple), min_size=6, max_size=15)
EXPERIMENTS = 300

Noise = Callable[[np.random.Generator, int], np.ndarray]


def numbered(rows: list[tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    return dict(enumerate(rows))


def of_logs(logs: np.ndarray, life: int | None = None) -> Ratio | None:
    """The ratio of rounds whose own ratios have these logarithms; `life` is for how many both keep their processes."""
    times = {number: (math.exp(value),) for number, value in enumerate(logs)}
    processes = None if life is None else {number: (number // life, number // life) for number in times}
    return speed_ratio(times, dict.fromkeys(times, (1.0,)), processes=processes)


@settings(deadline=None)
@given(TIMES, st.integers(1, 50))
def test_scaling_every_time_scales_the_ratio(times: list[tuple[int, ...]], factor: int) -> None:
    slower = [tuple(value * factor for value in row) for row in times]
    ratio = speed_ratio(numbered(slower), numbered(times))
    assert ratio is not None
    assert ratio.value == pytest.approx(factor)
    assert ratio.high / ratio.value == pytest.approx(math.exp(1.96 * LEAST_SPREAD)), "no rounds disagree"


@settings(deadline=None)
@given(TIMES, st.lists(st.integers(1, 100), min_size=15, max_size=15))
def test_what_slows_a_whole_round_down_cancels_out(times: list[tuple[int, ...]], slowdown: list[int]) -> None:
    twice = [tuple(2 * value for value in row) for row in times]

    def slowed(rows: list[tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
        return numbered([tuple(v * by for v in row) for row, by in zip(rows, slowdown, strict=False)])

    ratio = speed_ratio(slowed(twice), slowed(times))
    assert ratio is not None
    assert ratio.value == pytest.approx(2.0)


@settings(deadline=None)
@given(TIMES, TIMES)
def test_the_interval_holds_the_ratio_turns_around_and_repeats(
    a: list[tuple[int, ...]], b: list[tuple[int, ...]]
) -> None:
    common = min(len(a), len(b))
    first, second = numbered(a[:common]), numbered(b[:common])
    ratio, back = speed_ratio(first, second, seed=1), speed_ratio(second, first, seed=1)
    assert ratio is not None
    assert back is not None
    assert ratio.low < ratio.value < ratio.high
    assert speed_ratio(first, second, seed=1) == ratio
    assert (back.low * ratio.high, back.high * ratio.low) == pytest.approx((1, 1), rel=0.1)


def test_rounds_are_paired_by_number_and_too_few_say_nothing() -> None:
    reference = {number: (2000 * (number + 1),) for number in range(12)}
    candidate = {number: (1000 * (number + 1),) for number in range(2, 20)}
    ratio = speed_ratio(reference, candidate)
    assert ratio is not None
    assert ratio.value == pytest.approx(2.0)
    few = {number: reference[number] for number in range(LEAST_ROUNDS - 1)}
    assert speed_ratio(few, few) is None
    with pytest.raises(ValueError, match="not of the same examples"):
        speed_ratio({0: (1,)}, {0: (1, 2)})


def quiet(random: np.random.Generator, rounds: int) -> np.ndarray:
    return random.normal(0, 0.03, rounds)


def heavy_tailed(random: np.random.Generator, rounds: int) -> np.ndarray:
    return random.standard_t(3, rounds) * 0.05


def in_spells(random: np.random.Generator, rounds: int) -> np.ndarray:
    """Another program that comes and goes: rounds are alike, but neither side is favoured."""
    changes = random.random(rounds) < 0.15
    return random.normal(0, 1, rounds) * np.where(np.cumsum(changes) % 2 == 0, 0.02, 0.2)


def lasting(random: np.random.Generator, rounds: int) -> np.ndarray:
    """Noise that carries a third of itself over into the next round."""
    noise = random.normal(0, 0.05, rounds + 10)
    for number in range(1, len(noise)):
        noise[number] += 0.3 * noise[number - 1]
    return noise[10:]


@pytest.mark.parametrize("noise", [quiet, heavy_tailed, in_spells, lasting])
@pytest.mark.parametrize("rounds", [10, 20, 60])
def test_ninety_five_in_a_hundred_intervals_hold_the_truth(noise: Noise, rounds: int) -> None:
    random = np.random.default_rng(rounds)
    missed = 0
    for number in range(EXPERIMENTS):
        truth = 1.0 if number % 2 else 1.3
        logs = noise(random, rounds) + random.normal(0, LEAST_SPREAD) + np.log(truth)
        ratio = of_logs(logs)
        assert ratio is not None
        missed += not ratio.low <= truth <= ratio.high
    # 5 % of 300 is 15; 24 is two standard deviations more
    assert missed <= (24 if noise is not lasting else 30)


@pytest.mark.parametrize("life", [30, 10, 5])
def test_as_many_hold_it_where_every_process_has_a_speed_of_its_own(life: int) -> None:
    random = np.random.default_rng(life)
    missed = 0
    for _ in range(EXPERIMENTS):
        ahead = np.repeat(random.normal(0, PROCESS_SPREAD, 30 // life), life)
        ratio = of_logs(quiet(random, 30) + ahead, life)
        assert ratio is not None
        missed += not ratio.low <= 1.0 <= ratio.high
    assert missed <= 24


def test_five_percent_are_found_under_load_and_never_the_wrong_way_round() -> None:
    random = np.random.default_rng(3)
    found = 0
    for _ in range(100):
        logs = random.standard_t(4, 40) * 0.04 + np.log(1.05)
        ratio = of_logs(logs)
        assert ratio is not None
        assert not ratio.is_slower
        found += ratio.is_faster
    assert found >= 90


@given(seed=st.integers(0, 2**32 - 1), processes=st.integers(3, 8))
def test_no_interval_is_narrower_than_what_processes_disagree_by(seed: int, processes: int) -> None:
    random = np.random.default_rng(seed)
    ahead = np.repeat(random.normal(0, 0.05, processes), 6)  # each is so much ahead for six rounds
    reference = {n: (float(np.exp(value)),) for n, value in enumerate(ahead + random.normal(0, 0.002, len(ahead)))}
    candidate = dict.fromkeys(reference, (1.0,))
    known = speed_ratio(reference, candidate, 0, {n: (n // 6, n // 6) for n in reference})
    unknown = speed_ratio(reference, candidate, 0)
    one = speed_ratio(reference, candidate, 0, {n: (n // 6, 0) for n in reference})
    assert known is not None
    assert unknown is not None
    assert one is not None
    assert one.high / one.value >= math.exp(1.96 * PROCESS_SPREAD), "one process of the other tells nothing of it"
    assert known.low <= unknown.low
    assert known.high >= unknown.high
    medians = [np.median(np.log([reference[6 * p + k][0] for k in range(6)])) for p in range(processes)]
    half = T_975[processes - 2] * np.std(medians, ddof=1) / np.sqrt(processes)
    assert np.log(known.high / known.value) >= half - 1e-9


def test_a_process_of_a_round_or_two_is_no_sample() -> None:
    lives = [20, 20, 20, 2]
    logs = np.repeat([0.02, 0.025, 0.03, 0.4], lives)
    pairs = {number: (life, life) for number, life in enumerate(np.repeat(range(4), lives).tolist())}
    reference = {number: (math.exp(log),) for number, log in enumerate(logs)}
    ratio = speed_ratio(reference, dict.fromkeys(reference, (1.0,)), processes=pairs)
    assert ratio is not None
    assert ratio.precision < 0.03


def test_services_that_live_once_are_allowed_a_process_own_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = {name: [Turn(n, ((ns,) * 8,)) for n in range(20)] for name, ns in ((ONE, 2000), (SESSION, 1000))}
    overhead = loads.ratio(turns, 0)

    def answered(url: str, requests: Sequence[bytes], *, clients: int, seconds: float) -> Answers:
        return Answers(latencies_ns=[1] * (2 if url == "quick" else 1), wall_s=1.0)

    monkeypatch.setattr("bench.side_by_side.closed_loop", answered)
    urls = {"0": "slow", "1": "quick"}
    beside = side_by_side(urls, {name: [b"request"] for name in urls}, clients=1, budget_s=0.001)["1"]
    for ratio in (overhead, beside):
        assert ratio is not None
        assert ratio.value == pytest.approx(2.0)
        assert min(ratio.high / ratio.value, ratio.value / ratio.low) >= math.exp(1.96 * PROCESS_SPREAD) - 1e-9
