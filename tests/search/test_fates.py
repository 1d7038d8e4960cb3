"""What a search tells of each candidate: what became of it, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bench.leaderboard import rank
from ftc.search import plan
from ftc.search.fates import Fates
from ftc.search.links import key, link
from ftc.search.request import Objective, Request
from ftc.search.result import choose
from ftc.search.search import Search
from tests.bench.made import measurement, run
from tests.bench.test_results import with_id
from tests.search import made
from tests.search.made import DYNAMIC, STATIC, pruned


def fates(search: Search) -> Mapping[str, str]:
    """What became of each candidate, where the float export and dynamic INT8 came to the final measurement."""
    one = run(measurement("torch", 8000), measurement("onnx", 4000), measurement("int8", 2000))
    for name, chain in (("onnx", plan.REFERENCE), ("int8", DYNAMIC)):
        artifact = search.store.artifact(chain)
        assert artifact is not None
        one = with_id(one, name, artifact)
    board = rank(one)
    best, _, reason = choose(board, search.planned.request)
    return {row.key: row.fate for row in Fates(search, board, best, f"won: {reason}").rows()}


def test_what_two_chains_have_made_alike_is_told_once(tmp_path: Path) -> None:
    twin = (link("export", to="onnx", graph="fused"),)
    search = made.search(tmp_path, Request(), (twin, DYNAMIC))
    for chain in (plan.REFERENCE, DYNAMIC):
        made.know(search, chain, 2.0)
    made.know_twin(search, twin, plan.REFERENCE)
    told = fates(search)
    assert told[key(twin)] == f"the same as {key(plan.REFERENCE)}"
    assert told[key(DYNAMIC)].startswith("won: ")


def test_what_there_was_no_time_for_is_told(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC, STATIC))
    for chain in (plan.REFERENCE, DYNAMIC):
        made.know(search, chain, 2.0)
    assert not search.has_time(key(STATIC), False)
    assert fates(search)[key(STATIC)] == "no time left to try it"


def test_what_was_not_measured_to_the_end_is_told_why(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(max_size_bytes=1000, max_latency_ns=3e6), (DYNAMIC,))
    for chain in (plan.REFERENCE, DYNAMIC):
        made.know(search, chain, 2.0)
    made.know(search, pruned(0.2), 9.0, points=4.5)
    made.know(search, pruned(0.3), 8.0, points=1.5)
    made.know(search, pruned(0.4), 7.0, size_bytes=10**6)
    made.know(search, pruned(0.5), 6.0, p50_ns=4e6)
    made.know(search, pruned(0.6), 1.5)
    told = fates(search)
    assert told[key(pruned(0.2))] == "loses 4.50 points on the rows that judge, more than 1"
    assert told[key(pruned(0.3))] == "loses 1.50 points on the rows that judge, more than 1"
    assert told[key(pruned(0.4))] == "has 1 MB, more than --max-size 0.001"
    assert told[key(pruned(0.5))] == "takes 4 ms, more than --max-latency 3"
    assert told[key(pruned(0.6))] == "slower than the best of those that were measured to the end"


def test_a_network_that_was_given_up_is_told_from_a_stage_on_the_way(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    for chain in (plan.REFERENCE, DYNAMIC):
        made.know(search, chain, 2.0)
    for keep, points in ((0.3, 4.0), (0.5, 0.5), (0.7, 0.1)):
        made.know_stage(search, pruned(keep)[:1], points)
    made.know(search, pruned(0.5), 4.0)
    told = fates(search)
    assert told["prune --keep 0.3"] == "went no further: loses 4.00 points on the rows that judge"
    assert told["prune --keep 0.7"].startswith("went no further: inside the budget, but not the fastest")
    assert told["prune --keep 0.5"] == "a stage on the way to others"


def test_what_stays_comes_first(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    for chain in (plan.REFERENCE, DYNAMIC):
        made.know(search, chain, 2.0)
    assert next(iter(fates(search))) == key(DYNAMIC)
    search.planned = replace(search.planned, request=Request(max_latency_ns=1000.0))
    assert next(iter(fates(search))) == key(plan.REFERENCE)


def test_the_best_so_far_is_inside_the_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    search.tell("nothing yet")
    made.know(search, DYNAMIC, 2.0)
    made.know(search, pruned(0.3), 9.0, points=2.5)
    search.tell("timed")
    nothing, timed = capsys.readouterr().err.splitlines()
    assert "best so far" not in nothing
    assert "best so far 2.00x] timed" in timed


def test_for_size_what_is_left_behind_is_larger(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(objective=Objective.SIZE), (DYNAMIC, STATIC))
    for chain in (plan.REFERENCE, DYNAMIC, STATIC):
        made.know(search, chain, 2.0)
    assert fates(search)[key(STATIC)].startswith("larger than the best")
