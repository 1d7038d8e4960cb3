"""What a search tells of each candidate: what became of it, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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


def test_for_size_what_is_left_behind_is_larger(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(objective=Objective.SIZE), (DYNAMIC, STATIC))
    for chain in (plan.REFERENCE, DYNAMIC, STATIC):
        made.know(search, chain, 2.0)
    assert fates(search)[key(STATIC)].startswith("larger than the best")
