"""The search's choice: which candidate of the final measurement it takes, and that all that follows goes by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.agreement import Drop
from bench.leaderboard import Leaderboard, rank
from bench.page.headline import headline
from bench.report import show
from bench.results import FILE_NAME
from bench.winner import latest_winner
from ftc.measurement import Run
from ftc.results_file import read_results
from ftc.search.request import Objective, Request
from ftc.search.result import choice, choose, refusal, unproven
from tests.bench.made import measurement, run
from tests.bench.test_results import with_id, write
from tests.search import made


def sized(one: Run, sizes: Mapping[str, int]) -> Run:
    """The run with other sizes of its candidates."""
    return replace(
        one,
        measurements=tuple(
            replace(m, candidate=replace(m.candidate, size_bytes=sizes.get(m.candidate.name, m.candidate.size_bytes)))
            for m in one.measurements
        ),
    )


def four() -> Run:
    """The fastest is the largest."""
    one = run(
        measurement("torch", 8000), measurement("onnx", 4000), measurement("int8", 2000), measurement("tiny", 1000)
    )
    return sized(one, {"tiny": 5000, "int8": 500})


@pytest.mark.parametrize(
    ("asked", "won"),
    [
        ({"max_size_bytes": 2000}, "int8"),
        ({"objective": Objective.SIZE}, "int8"),
        ({"min_score": 0.95}, "onnx"),
        ({}, "tiny"),
    ],
)
def test_table_headline_and_package_go_by_what_the_search_chose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: dict[str, Any], won: str
) -> None:
    results = tmp_path / FILE_NAME
    artifacts = {name: made.sealed(tmp_path / name, made.root(tmp_path), name) for name in ("onnx", "int8", "tiny")}
    one = four()
    for name, artifact in artifacts.items():
        one = with_id(one, name, artifact)
    one = replace(one, choice=choice(rank(one), Request(**asked)))
    write(one, results)
    board = rank(one)
    assert board.winner is not None
    assert board.winner.name == won
    assert next(s.candidate.name for s in board.standings if s.verdict == "winner") == won
    assert choose(board, Request(**asked))[0].candidate.name == won, "what was written changes no choice"
    (kept,) = read_results(results)
    assert headline(kept, board, "onnx").subject == won
    assert latest_winner(tmp_path).manifest.id == artifacts[won].manifest.id
    show(board, tmp_path)
    assert f"winner  {won}: {board.reason}" in capsys.readouterr().out


def test_what_breaks_a_limit_is_told_with_it() -> None:
    one = four()
    board = rank(replace(one, choice=choice(rank(one), Request(max_size_bytes=2000))))
    tiny = next(s for s in board.standings if s.candidate.name == "tiny")
    size = f"{tiny.candidate.size_bytes / 1e6:.3g}"
    assert (tiny.verdict, tiny.reason) == ("refused", f"has {size} MB, more than --max-size 0.002")


def chosen(board: Leaderboard, **asked: Any) -> tuple[str, bool]:
    best, is_better, _ = choose(board, Request(**asked))
    return best.candidate.name, is_better


def test_for_size_nothing_wins_that_is_no_smaller_than_the_baseline() -> None:
    board = rank(sized(four(), {"int8": 1000, "tiny": 5000}))
    assert chosen(board, objective=Objective.SIZE) == ("onnx", False)


def test_where_nothing_qualifies_it_is_said_what_there_was_no_time_for() -> None:
    board = rank(run(measurement("torch", 8000), measurement("onnx", 4000)))
    best, is_better, reason = choose(board, Request(), ("static INT8", "TFLite"))
    assert (best.candidate.name, is_better) == ("onnx", False)
    assert (
        reason
        == "stays, since nothing else qualifies: no time to try static INT8 and 1 more; give a longer --time-budget"
    )


def test_another_float_export_must_be_faster_as_all_others() -> None:
    plain = measurement("onnx-plain", 4400)
    plain = replace(plain, candidate=replace(plain.candidate, lossless=True))
    board = rank(run(measurement("torch", 8000), measurement("onnx", 4000), plain))
    assert chosen(board) == ("onnx", False)
    faster = replace(measurement("onnx-plain", 2000), candidate=plain.candidate)
    assert chosen(rank(run(measurement("torch", 8000), measurement("onnx", 4000), faster))) == ("onnx-plain", True)


@pytest.mark.parametrize(
    ("accuracy", "drop", "strict", "why"),
    [
        (0.895, Drop(0.5, -0.2, 1.2, 1, 1, 0.5, 1.0), False, None),
        (0.895, Drop(0.5, -0.2, 1.2, 1, 1, 0.5, 1.0), True, "may lose 1.20 points, more than 1"),
        (0.895, Drop(0.5, 0.1, 0.9, 1, 1, 0.5, 1.0), True, None),
        (0.885, Drop(1.5, 0.5, 2.5, 1, 1, 0.5, 1.0), False, "loses 1.50 points, more than 1"),
    ],
)
def test_a_drop_beyond_the_budget_is_refused_and_strictly_one_that_may_be(
    accuracy: float, drop: Drop, strict: bool, why: str | None
) -> None:
    board = rank(run(measurement("torch", 8000), measurement("onnx", 4000), measurement("int8", 2000, accuracy)))
    standing = next(s for s in board.standings if s.candidate.name == "int8")
    assert refusal(replace(standing, drop=drop), board, Request(strict=strict)) == why


def test_what_may_be_faster_or_slower_does_not_win() -> None:
    board = rank(run(measurement("torch", 8000), measurement("onnx", 4000), measurement("int8", 3960, jitter=20)))
    best, is_better, reason = choose(board, Request())
    assert (best.candidate.name, is_better) == ("onnx", False)
    assert "int8: was not shown to be faster (1.0" in reason


def test_a_baseline_that_breaks_a_limit_itself_is_told() -> None:
    board = rank(run(measurement("torch", 8000), measurement("onnx", 4000), measurement("int8", 3000)))
    _, is_better, reason = choose(board, Request(max_latency_ns=2000))
    assert not is_better
    assert "onnx, which stays, all the same: takes 0.004 ms, more than --max-latency 0.002" in reason


def test_too_much_memory_is_refused_and_unknown_memory_is_not() -> None:
    asked = Request(max_memory_bytes=10**7)
    assert asked.broken_by(1, 10**8, None) == "takes 100 MB of memory, more than --max-memory 10"
    assert asked.broken_by(1, None, None) is None


def test_a_strict_least_score_is_that_of_the_whole_interval() -> None:
    board = rank(run(measurement("torch", 8000, 0.9), measurement("onnx", 4000, 0.9), measurement("int8", 2000, 0.89)))
    standing = next(s for s in board.standings if s.candidate.name == "int8")
    doubtful = replace(standing, drop=Drop(1.0, -1.0, 3.0, 1, 1, 0.5, 1.0))
    assert refusal(doubtful, board, Request(min_score=0.88)) is None
    why = refusal(doubtful, board, Request(min_score=0.88, strict=True))
    assert why == "may reach no more than 0.8700, below --min-score 0.88"


def test_a_winner_that_may_lose_more_than_the_budget_is_said() -> None:
    (known,) = (s for s in rank(four()).standings if s.candidate.name == "int8")
    inside = replace(known, drop_points=0.5, drop=Drop(0.5, 0.1, 0.9, 5, 3, 0.5, 0.4))
    assert unproven(inside, 1.0) is None
    doubtful = replace(known, drop_points=0.5, drop=Drop(0.5, -0.8, 2.3, 5, 3, 0.5, 1.5))
    told = unproven(doubtful, 1.0)
    assert told is not None
    assert "int8 may lose up to 2.30 points" in told
    assert "--strict" in told
