"""Whose turn it is, with scripted time: a clock that only the model moves on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench import plan
from bench.remote import WorkerError
from bench.sampling import interleaved
from bench.worker import Kind, Subject

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


class FakeTask:
    """Examples are texts; a batch is padded to its longest."""

    def encode(self, examples: Sequence[str]) -> dict[str, np.ndarray]:
        return {"x": np.zeros((len(examples), max(map(len, examples))))}


def subject(examples: Sequence[str], batches: Sequence[Sequence[int]]) -> tuple[Subject, FakeSession]:
    clock = FakeClock()
    session = FakeSession(clock)
    made: Any = Subject(FakeTask(), session, clock)  # type: ignore[arg-type]
    made.prepare(examples, batches)
    return made, session


@dataclass
class Logged:
    """A probe that writes down when it runs, and may die at a turn."""

    name: str
    log: list[tuple[str, Kind, tuple[int, ...]]]
    cost_ns: int = 1000
    dies_at: int | None = None
    calls: int = 0

    def sample(self, kind: Kind, order: Sequence[int]) -> list[int]:
        self.calls += 1
        if self.calls == self.dies_at:
            raise WorkerError("its process was killed")
        self.log.append((self.name, kind, tuple(order)))
        return [self.cost_ns] * len(order)


def test_a_timed_call_is_the_model_alone_and_warm_calls_do_not_count() -> None:
    made, session = subject(["a", "bbb", "cc"], [(0, 1)])
    assert made.sample("single", [1, 0, 2], warm=2) == [3000, 1000, 2000]
    assert session.calls == [3, 3, 3, 1, 2]
    assert made.sample("batch", [0], warm=0) == [2 * 3 * NS_PER_ELEMENT]


def test_every_candidate_does_the_same_work_in_every_round() -> None:
    log: list[tuple[str, Kind, tuple[int, ...]]] = []
    probes = {name: Logged(name, log) for name in "abc"}
    taken = interleaved(probes, 6, 2, budget_ns=1e9, seed=3)
    timed = log[2 * len(probes) :]  # after the warm-up
    rounds = [timed[start : start + 6] for start in range(0, len(timed), 6)]
    assert len(rounds) == plan.MAX_ROUNDS
    for turns in rounds:
        assert Counter(name for name, _, _ in turns) == {"a": 2, "b": 2, "c": 2}
        assert len({order for _, kind, order in turns if kind == "single"}) == 1
        assert [turns[i][0] for i in (0, 2, 4)] == [turns[i][0] for i in (1, 3, 5)], "one at a time"
    assert len({tuple(name for name, _, _ in turns) for turns in rounds}) > 1, "the order is shuffled"
    assert all(len(times.single_ns) == len(rounds) for times in taken.values())


def test_one_that_dies_is_left_out_and_the_others_go_on() -> None:
    log: list[tuple[str, Kind, tuple[int, ...]]] = []
    probes = {
        "well": Logged("well", log),
        "ill": Logged("ill", log, dies_at=8),
        "dead": Logged("dead", log, dies_at=1),
    }
    taken = interleaved(probes, 4, 1, budget_ns=1e9, seed=0)
    assert taken["well"].failure is None
    assert len(taken["well"].single_ns) == plan.MAX_ROUNDS
    assert taken["ill"].failure == taken["dead"].failure == "its process was killed"
    assert len(taken["ill"].single_ns) < 4
    assert probes["dead"].calls == 1


@given(st.integers(1, 10**12), st.integers(1, 64), st.integers(1, 8), st.floats(1e6, 1e12))
def test_a_plan_keeps_to_its_budget_where_it_can(pass_ns: int, singles: int, batches: int, budget: float) -> None:
    made = plan.fit(pass_ns, singles, batches, budget)
    assert plan.MIN_ROUNDS <= made.rounds <= plan.MAX_ROUNDS
    assert 1 <= made.singles <= singles
    assert 1 <= made.batches <= batches
    if made.singles == singles and made.batches == batches and made.rounds > plan.MIN_ROUNDS:
        assert made.rounds * pass_ns <= budget * (1 + 1e-9)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=70), st.integers(1, 16))
def test_batches_are_full_hold_every_row_and_go_by_length(lengths: list[int], size: int) -> None:
    batches = plan.grouped(lengths, size)
    assert all(len(batch) == size for batch in batches)
    flat = [row for batch in batches for row in batch][: len(lengths)]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[row] for row in flat] == sorted(lengths)


def test_rounds_depend_on_the_seed_alone() -> None:
    made = plan.Plan(5, 3, 2)
    assert plan.rounds(made, "ab", 9, 4, seed=1) == plan.rounds(made, "ab", 9, 4, seed=1)
    assert plan.rounds(made, "ab", 9, 4, seed=1) != plan.rounds(made, "ab", 9, 4, seed=2)
