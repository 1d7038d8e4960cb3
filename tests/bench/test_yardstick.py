"""The yardstick: fixed pieces of work, on each core, around every turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from bench import yardstick
from bench.options import Options
from bench.run import bench
from bench.sampling import interleaved
from bench.yardstick import MOST_CORES, WALK_SHARE, Reading, slower, watch
from ftc.artifact import Artifact
from ftc.results_file import read_results

can_choose_cores = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system does not let a process choose its cores"
)


@can_choose_cores
def test_cores_are_read_and_the_process_is_left_on_those_it_had() -> None:
    before = os.sched_getaffinity(0)
    cores = sorted(before)[:2]
    reading = watch(cores)()
    assert os.sched_getaffinity(0) == before
    for of in (reading.core_ns, reading.cache_ns, reading.transfer_ns):
        assert len(of) == len(cores)
        assert all(ns > 0 for ns in of)
    assert watch(None)() == Reading(), "where cores cannot be chosen"


@can_choose_cores
def test_one_core_hands_nothing_over() -> None:
    reading = watch(sorted(os.sched_getaffinity(0))[:1])()
    assert (len(reading.core_ns), len(reading.cache_ns), reading.transfer_ns) == (1, 1, ())


def test_of_many_cores_a_few_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.yardstick.held_to", nullcontext)
    monkeypatch.setattr("bench.yardstick._on", lambda core, _work, _times: core)
    assert watch(range(4))() == Reading((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3))
    for count in (5, 9, 64, 100, 256):
        few = watch(range(count))().core_ns
        assert 1 < len(few) <= MOST_CORES
        assert few[-1] >= count // 2, "and not all of one end"


class Probe:
    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        return [[1]]


def test_a_turn_keeps_the_slower_reading_of_before_and_after() -> None:
    cores = [(1, 5), (2, 4), (3, 9), (7, 7), (1, 1), (8, 2)]
    readings = iter([Reading(core_ns, (sum(core_ns), 3)) for core_ns in cores])
    kept: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []
    interleaved(
        {"a": Probe(), "b": Probe()},
        (1,),
        (1,),
        first=0,
        seed=0,
        is_over=lambda taken: taken >= 2,
        keep=lambda _name, turn: kept.append((turn.round, turn.core_ns, turn.cache_ns)),
        fail=lambda _name, reason: pytest.fail(reason),
        watch=lambda: next(readings),
    )
    assert kept == [(0, (2, 5), (6, 3)), (0, (3, 9), (12, 3)), (1, (7, 7), (14, 3)), (1, (8, 2), (10, 3))]
    assert slower(Reading(), Reading((1,), (1,))) == Reading()


@can_choose_cores
def test_walks_take_a_small_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, walked_at = [0], dict[int, list[int]]()

    def reading(core: int, work: Callable[[], int], _times: int) -> int:
        if work is yardstick._walk_ns:
            walked_at.setdefault(core, []).append(now[0])
            now[0] += 5_000_000
        return 1

    monkeypatch.setattr("bench.yardstick.held_to", nullcontext)
    monkeypatch.setattr("bench.yardstick._on", reading)
    read = yardstick._Watch((0, 1), clock=lambda: now[0]).read
    for _ in range(150):
        assert read().cache_ns == (1, 1)
        now[0] += 60_000_000
    assert [len(times) for times in walked_at.values()] == [3, 3], "both at first, then one after the other"
    taken_ns = 5_000_000 * sum(map(len, walked_at.values()))
    assert taken_ns <= 1.5 * WALK_SHARE * now[0]


@can_choose_cores
def test_a_core_that_is_taken_away_leaves_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_process: int, _cores: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "sched_setaffinity", refused)
    assert watch((0,))() == Reading()


@can_choose_cores
def test_a_run_reads_its_cores_around_every_turn(
    text_onnx: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "bench.jsonl", []

    def reading(core: int, work: Callable[[], int], _times: int) -> int:
        if work is yardstick._walk_ns:
            return 7
        read.append(core)
        return len(read)

    monkeypatch.setattr("bench.yardstick._on", reading)
    bench([text_onnx], options=Options(threads=1, time_budget_s=0.3), results_path=path)
    (found,) = read_results(path)
    assert found.conditions.pinned_cores is not None
    (one,) = found.measurements
    assert set(read) == {*found.conditions.pinned_cores}
    assert [turn.core_ns for turn in one.turns] == [(number,) for number in range(2, len(read) + 1, 2)]
    assert {turn.cache_ns for turn in one.turns} == {(7,)}
