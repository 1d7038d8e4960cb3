"""Whose turn it is, with scripted time: a clock that only the model moves on."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import plan
from bench.clock import WARM_NS, time_queries
from bench.remote import WorkerError
from bench.sampling import interleaved
from bench.worker import Subject
from ftc.measurement import Turn

NS_PER_ELEMENT = 1000


@dataclass
class FakeClock:
    """Stands still until a session moves it."""

    now_ns: int = 0

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class FakeSession:
    """Takes a scripted time for each element of its input."""

    clock: FakeClock
    calls: list[int] = field(default_factory=list)
    formats: ClassVar[frozenset[str]] = frozenset()
    devices: ClassVar[frozenset[str]] = frozenset()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.clock.now_ns += NS_PER_ELEMENT * inputs["x"].size
        self.calls.append(inputs["x"].size)
        return {"logits": np.zeros((len(inputs["x"]), 2), np.float32)}


@dataclass
class FakeTask:
    """Examples are texts; a batch is padded to its longest."""

    encoded: int = 0

    def encode(self, examples: Sequence[str]) -> dict[str, np.ndarray]:
        self.encoded += 1
        return {"x": np.zeros((len(examples), max(map(len, examples))))}

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[str]:
        return [""] * len(outputs["logits"])


def subject(
    examples: Sequence[str], cells: Sequence[Sequence[Sequence[int]]]
) -> tuple[Subject, FakeSession, FakeClock]:
    clock = FakeClock()
    session = FakeSession(clock)
    made: Any = Subject(FakeTask(), session, clock)  # type: ignore[arg-type]
    made.prepare(examples, cells)
    return made, session, clock


@dataclass
class Logged:
    """A probe that writes down when it runs, and may die at a turn."""

    name: str
    log: list[tuple[str, tuple[tuple[int, ...], ...]]]
    dies_at: int | None = None
    turns: int = 0

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        self.turns += 1
        if self.turns == self.dies_at:
            raise WorkerError("its process was killed")
        self.log.append((self.name, tuple(map(tuple, picks))))
        return [[1000] * len(order) for order in picks]


@dataclass
class Kept:
    """What came of the turns."""

    turns: dict[str, list[Turn]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def keep(self, name: str, turn: Turn) -> None:
        self.turns.setdefault(name, []).append(turn)

    def fail(self, name: str, reason: str) -> None:
        self.failures[name] = reason


def sampled(probes: Mapping[str, Logged], rounds: int, *, first: int = 0) -> Kept:
    kept = Kept()
    over = lambda taken: taken >= rounds  # noqa: E731 - what a caller passes
    interleaved(probes, (6, 2), (6, 2), first=first, seed=3, is_over=over, keep=kept.keep, fail=kept.fail)
    return kept


def test_a_timed_call_is_the_model_alone_and_warm_calls_do_not_count() -> None:
    texts = ["a" * 3000, "b" * 4000, "c" * 5000]  # a call of each takes 12 ms
    made, session, _ = subject(texts, [[(0,), (1,), (2,)], [(0, 1)]])
    assert made.turn([[1, 0, 2], [0]]) == [[4_000_000, 3_000_000, 5_000_000], [2 * 4000 * NS_PER_ELEMENT]]
    assert session.calls == [*(4000, 3000, 5000) * 2, 4000, 3000, 5000, 8000], "20 ms of the first cell warm it up"
    around = made.around(texts[:2])
    assert around == {"encode_ns": [0, 0], "decode_ns": [0, 0]}, "the model is not in it"


def test_a_new_process_is_warmed_with_every_shape_once() -> None:
    texts = ["a" * length for length in (1, 1, 1, 2, 2, 3)]
    cells = [[(row,) for row in range(6)], [(0, 1)]]
    made, session, _ = subject(texts, cells)
    made.warm()
    assert session.calls == [1, 2, 3, 2]
    assert made.prepare(texts, cells) == 8 / 12, "of all that is in the batches"


def test_the_garbage_collector_is_held_back_while_calls_are_timed() -> None:
    made, session, clock = subject(["a"], [[(0,)]])
    was = []

    def run(_: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        was.append(gc.isenabled())
        clock.now_ns += WARM_NS
        return {}

    session.run = run  # type: ignore[method-assign]
    made.turn([[0]])
    assert was == [False, False]
    assert gc.isenabled()


def test_a_query_waits_for_those_before_it_and_that_is_its_time() -> None:
    _, session, clock = subject(["aaaa"], [[(0,)]])  # 4,000 ns a call
    inputs = [{"x": np.zeros((1, 4))}] * 4

    def sleep(seconds: float) -> None:
        clock.now_ns += round(seconds * 1e9)

    times = time_queries(session, inputs, [1000, 2000, 3000, 50_000], clock=clock, sleep=sleep)
    assert times == [4000, 7000, 10_000, 4000]


def test_every_candidate_does_the_same_work_in_every_round() -> None:
    log: list[tuple[str, tuple[tuple[int, ...], ...]]] = []
    kept = sampled({name: Logged(name, log) for name in "abc"}, 20)
    rounds = [log[start : start + 3] for start in range(0, len(log), 3)]
    assert len(rounds) == 20
    for turns in rounds:
        assert Counter(name for name, _ in turns) == {"a": 1, "b": 1, "c": 1}
        assert len({picks for _, picks in turns}) == 1
    orders = [tuple(name for name, _ in turns) for turns in rounds]
    assert len(set(orders)) > 2, "the order is shuffled"
    assert [order[::-1] for order in orders[::2]] == orders[1::2], "and as often the other way round"
    assert [turn.round for turn in kept.turns["a"]] == list(range(20))


def test_rounds_that_are_gone_on_with_are_those_that_would_have_come() -> None:
    whole: list[tuple[str, tuple[tuple[int, ...], ...]]] = []
    parts: list[tuple[str, tuple[tuple[int, ...], ...]]] = []
    sampled({name: Logged(name, whole) for name in "ab"}, 12)
    sampled({name: Logged(name, parts) for name in "ab"}, 5)
    sampled({name: Logged(name, parts) for name in "ba"}, 7, first=5)
    assert parts == whole


def test_what_lies_between_two_rounds_is_done_between_them_alone() -> None:
    log: list[tuple[str, tuple[tuple[int, ...], ...]]] = []
    kept, between = Kept(), []

    def renewed() -> dict[str, str]:
        between.append(len(log))
        return {}

    over = lambda taken: taken >= 4  # noqa: E731 - what a caller passes
    probes = {"a": Logged("a", log)}
    interleaved(probes, (6, 2), (6, 2), first=0, seed=3, is_over=over, keep=kept.keep, fail=kept.fail, between=renewed)
    assert between == [1, 2, 3], "after the last round nothing is opened for nothing"


def test_one_that_dies_is_left_out_and_the_others_go_on() -> None:
    log: list[tuple[str, tuple[tuple[int, ...], ...]]] = []
    probes = {"well": Logged("well", log), "ill": Logged("ill", log, dies_at=4), "dead": Logged("dead", log, dies_at=1)}
    kept = sampled(probes, 15)
    assert len(kept.turns["well"]) == 15
    assert len(kept.turns["ill"]) == 3
    assert kept.failures == dict.fromkeys(("ill", "dead"), "its process was killed")
    assert probes["dead"].turns == 1


@given(
    st.floats(1, 1e13), st.lists(st.integers(1, 64), min_size=1, max_size=6), st.integers(1, 10), st.floats(1e6, 1e12)
)
def test_a_plan_keeps_to_its_budget_where_it_can(
    pass_ns: float, counts: list[int], candidates: int, budget_ns: float
) -> None:
    calls = plan.fit(pass_ns, counts, candidates, budget_ns)
    assert all(1 <= taken <= max(count, plan.MOST_CALLS) for taken, count in zip(calls, counts, strict=True))
    shares = [taken / count for taken, count in zip(calls, counts, strict=True)]
    if min(calls) > 1:
        assert plan.PLANNED_ROUNDS * min(shares) * pass_ns <= budget_ns * (1 + 1e-9)


@pytest.mark.parametrize(("call_ms", "calls"), [(0.1, 500), (1.0, 50), (5.0, 24), (100.0, 8), (5000.0, 1)])
def test_a_turn_is_short_but_for_what_is_slow(call_ms: float, calls: int) -> None:
    assert plan.fit(2 * 64 * call_ms * 1e6, [64], 2, left_ns=60e9) == (calls,)


def test_a_long_run_has_longer_turns_and_so_has_a_gpu() -> None:
    assert plan.fit(2 * 64 * 1e6, [64], 2, left_ns=3600e9) == (1800,)
    assert plan.fit(2 * 64 * 1e6, [64], 2, left_ns=60e9, turn_ns=plan.LONG_TURN_NS) == (800,)


def test_a_lone_candidate_is_not_done_at_once() -> None:
    now_ns = 0

    def clock() -> int:
        return now_ns

    patience = plan.Patience(30e9, 0.02, lambda: 0.0, clock)
    now_ns = warming_up_ns = 4 * 10**9
    assert not patience.is_over(0)
    now_ns = plan.LEAST_NS
    assert not patience.is_over(plan.MIN_ROUNDS), "five seconds of rounds, not of warming up"
    now_ns = warming_up_ns + plan.LEAST_NS
    assert patience.is_over(plan.MIN_ROUNDS)


def test_rounds_end_when_intervals_are_narrow_or_the_budget_is_spent() -> None:
    clock, second_ns = FakeClock(), 10**9
    widths = iter([0.5, 0.2, 0.01])
    asked: list[int] = []

    def widest() -> float:
        asked.append(clock.now_ns // second_ns)
        return next(widths)

    def rounds(patience: plan.Patience) -> int:
        for taken in range(10_000):
            if patience.is_over(taken):
                return taken
            clock.now_ns += second_ns
        raise AssertionError("never over")

    assert rounds(plan.Patience(1e12, 0.02, widest, clock)) == 17
    assert asked == [10, 13, 17], "ever more seldom"
    assert rounds(plan.Patience(50e9, None, widest, clock)) == 50
    assert rounds(plan.Patience(5e9, 0.02, lambda: None, clock)) == plan.MIN_ROUNDS


@given(st.lists(st.integers(1, 500), min_size=1, max_size=70), st.integers(1, 16))
def test_batches_are_full_hold_every_row_and_go_by_length(lengths: list[int], size: int) -> None:
    batches = plan.grouped(lengths, size)
    assert all(len(batch) == size for batch in batches)
    flat = [row for batch in batches for row in batch][: len(lengths)]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[row] for row in flat] == sorted(lengths)


def test_a_round_is_whole_passes_over_the_examples() -> None:
    made = plan.round_of(3, "ab", (4, 2), (10, 1), seed=1)
    assert Counter(made.picks[0][:8]) == dict.fromkeys(range(4), 2)
    assert [len(order) for order in made.picks] == [10, 1]
    assert plan.round_of(3, "ba", (4, 2), (10, 1), seed=1) == made
    assert plan.round_of(3, "ab", (4, 2), (10, 1), seed=2) != made
