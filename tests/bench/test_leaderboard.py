"""Who wins, and why the others lost, on runs made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench import plan
from bench.leaderboard import rank
from bench.report import show, to_json
from ftc.measurement import Accuracy, Arrivals, Cell, Choice, Measurement, Opening, Run, Turn
from tests.bench.made import CONDITIONS, candidate, measurement, run, turns


def winner_of(made: Run) -> str | None:
    winner = rank(made).winner
    return winner.name if winner is not None else None


def test_the_fastest_inside_the_budget_wins() -> None:
    board = rank(
        run(
            measurement("torch", 8000, 0.900),
            measurement("onnx", 4000, 0.900),
            measurement("int8", 2000, 0.895),
            measurement("tiny", 1000, 0.877),
        )
    )
    assert [(s.candidate.name, s.verdict) for s in board.standings] == [
        ("int8", "winner"),
        ("onnx", "slower"),
        ("torch", "slower"),
        ("tiny", "over budget"),
    ]
    reasons = {s.candidate.name: s.reason for s in board.standings}
    assert reasons["onnx"] == "slower than int8: 0.50x (0.48-0.53)"
    assert reasons["tiny"] == "drop of 2.30 points exceeds 1"
    assert "2.00x as fast as onnx" in board.reason
    assert "drop 0.50 points of accuracy" in board.reason
    winner = board.standings[0]
    assert winner.ratio_to_root is not None
    assert winner.ratio_to_root.value == pytest.approx(4, rel=0.01)
    assert winner.drop_points == pytest.approx(0.5)
    assert winner.label_agreement == 1.0


def test_slower_is_only_what_was_shown_to_be() -> None:
    once = measurement("int8", 3000)
    made = run(
        measurement("torch", 8000),
        measurement("onnx", 4000),
        measurement("fast", 2000),
        replace(once, turns=once.turns[:1]),
    )
    verdicts = {s.candidate.name: s.verdict for s in rank(made).standings}
    assert verdicts == {"fast": "winner", "onnx": "slower", "torch": "slower", "int8": "not compared"}
    smallest = rank(replace(made, choice=Choice("id-of-onnx", "the smallest")))
    verdicts = {s.candidate.name: s.verdict for s in smallest.standings}
    assert verdicts == {"onnx": "winner", "torch": "slower", "fast": "not chosen", "int8": "not compared"}


def test_a_drop_of_just_the_budget_is_inside_it() -> None:
    runs = [
        run(measurement("torch", 8000, 0.9), measurement("int8", 2000, 0.89), max_drop_points=m) for m in (1.0, 0.9)
    ]
    assert [winner_of(made) for made in runs] == ["int8", "torch"]


def test_the_float_export_wins_when_nothing_beats_it() -> None:
    board = rank(run(measurement("torch", 8000), measurement("onnx", 4000), measurement("int8", 5000)))
    assert board.winner == candidate("onnx")
    assert board.reason == "nothing inside the accuracy budget was shown to be faster"


def test_faster_is_not_claimed_from_noise() -> None:
    noisy = measurement("int8", 3990, jitter=20)
    board = rank(run(measurement("torch", 8000), measurement("onnx", 4000), noisy))
    assert board.winner == candidate("onnx")
    int8 = next(s for s in board.standings if s.candidate.name == "int8")
    assert int8.ratio_to_float_onnx is not None
    assert int8.ratio_to_float_onnx.low < 1 < int8.ratio_to_float_onnx.high
    assert (int8.verdict, int8.reason[:32]) == ("no difference", "no difference shown to onnx: 1.0")


def test_without_a_float_export_the_checkpoint_is_the_reference() -> None:
    board = rank(run(measurement("torch", 8000), measurement("int8", 2000)))
    assert board.winner == candidate("int8")
    assert "4.00x as fast as torch" in board.reason
    assert board.standings[0].ratio_to_float_onnx is None
    assert "no float ONNX export" in str(board.float_onnx_absent)


def test_without_the_checkpoint_the_float_export_is_the_reference_for_accuracy() -> None:
    board = rank(run(measurement("onnx", 4000, 0.9), measurement("int8", 2000, 0.88)))
    assert board.winner == candidate("onnx")
    assert board.standings[1].reason == "drop of 2.00 points exceeds 1"


def test_unknown_accuracy_lets_only_lossless_candidates_win() -> None:
    made = run(*(measurement(*entry, accuracy=None) for entry in (("torch", 8000), ("onnx", 4000), ("int8", 2000))))
    board = rank(made)
    assert board.winner == candidate("onnx")
    assert board.reason.endswith("int8 is 2.00x as fast, but its accuracy is not known: give labelled rows")
    assert board.standings[-1].verdict == "accuracy unknown"
    assert board.standings[-1].ratio_to_float_onnx is not None


def test_failures_come_last_with_their_reason_and_may_leave_no_winner() -> None:
    broken = measurement("int8", None, None, failure="its process was killed by signal 9")
    board = rank(run(measurement("torch", 8000), broken, measurement("onnx", None, failure="damaged")))
    assert [s.verdict for s in board.standings] == ["winner", "failed", "failed"]
    assert board.standings[1].reason == "failed: its process was killed by signal 9"
    assert board.float_onnx_absent == "the float ONNX export, onnx, failed"
    assert rank(run(measurement("int8", 2000))).winner is None


def test_drops_say_what_they_are_taken_to_when_the_checkpoint_fails(tmp_path: Path) -> None:
    broken = measurement("torch", None, None, failure="damaged")
    board = rank(run(broken, measurement("onnx", 4000, 0.9), measurement("int8", 2000, 0.895)))
    assert board.standings[0].drop_points == pytest.approx(0.5)
    assert board.root_absent == "the checkpoint, torch, failed: drops are taken to its float export, onnx"
    with (tmp_path / "out").open("w+") as file:
        show(board, tmp_path, Console(file=file))
        file.seek(0)
        assert board.root_absent in file.read()
    alone = rank(run(broken, measurement("int8", 2000, 0.895)))
    assert alone.root_absent == "the checkpoint, torch, failed: no drop is known"
    assert rank(run(measurement("torch", 8000), measurement("int8", 2000))).root_absent is None


def test_the_table_shows_every_candidate_its_fate_and_the_next_command(tmp_path: Path) -> None:
    board = rank(
        run(
            measurement("torch", 8_000_000, 0.9),
            measurement("onnx", 4_000_000, 0.9),
            measurement("int8", 2_000_000, 0.895),
            measurement("broken", None, None, failure="no memory"),
        )
    )
    with (tmp_path / "out").open("w+") as file:
        show(board, Path("artifacts"), Console(file=file))
        file.seek(0)
        text = file.read()
    assert max(len(line) for line in text.splitlines() if "0.8950" in line) <= 100
    for part in (
        "2.00",
        "0.8950",
        "0.50",
        "winner  int8: ",
        "broken: failed: no memory",
        "next: ftc package\n",
    ):
        assert part in text


def test_json_leaves_the_raw_samples_out() -> None:
    text = to_json(rank(run(measurement("torch", 8000), measurement("onnx", 4000))))
    assert "calls_ns" not in text


def test_json_names_the_winner_its_place_and_why() -> None:
    told = json.loads(to_json(rank(run(measurement("torch", 8000), measurement("onnx", 4000)))))
    assert (told["winner"]["id"], told["winner"]["name"]) == ("id-of-onnx", "onnx")
    assert told["winner"]["path"] == "/nowhere/onnx"
    assert told["reason"] == "nothing inside the accuracy budget was shown to be faster"
    nobody = json.loads(to_json(rank(run(measurement("int8", 2000)))))
    assert nobody["winner"] is None
    assert "accuracy budget" in nobody["reason"]


def shown(made: Run, path: Path) -> str:
    with path.open("w+") as file:
        show(rank(made), Path("artifacts"), Console(file=file))
        file.seek(0)
        return file.read()


def test_a_p90_that_is_not_known_is_explained(tmp_path: Path) -> None:
    plenty = run(measurement("torch", 8_000_000), measurement("onnx", 4_000_000))
    assert "no p90" not in shown(plenty, tmp_path / "plenty")
    some = shown(plenty, tmp_path / "some")
    assert "no p99: it needs at least 662 samples, there are 96; give a longer --time-budget\n" in some
    ends_sooner = shown(replace(plenty, precision=0.02), tmp_path / "sooner")
    assert "there are 96; give a longer --time-budget, and to ftc bench --precision none\n" in ends_sooner
    assert "8 timed, length 20 (median) to 50; percentiles are of repeated calls of these" in some
    few = [replace(known, turns=turns(8_000_000, calls=1)) for known in plenty.measurements]
    assert "no p90: it needs at least 64 samples, there are 12" in shown(run(*few), tmp_path / "few")
    many = [replace(known, turns=turns(8_000_000, calls=60)) for known in plenty.measurements]
    assert "p99" in shown(run(*many), tmp_path / "many").splitlines()[1]


def labelled(*right: int) -> Run:
    """Candidates that answer so many rows of each of two classes rightly, 50 there are."""
    made = [measurement("torch", 8000), measurement("onnx", 4000), measurement("int8", 2000)]
    of_class = [(30, 50), (30, 50), right]
    answered = [
        replace(one, accuracy=Accuracy({"accuracy": sum(n) / 100}, answers(*n)))
        for one, n in zip(made, of_class, strict=True)
    ]
    return replace(run(*answered, max_drop_points=50), labels=("cat", "dog"), targets=(0,) * 50 + (1,) * 50)


def answers(cats: int, dogs: int) -> tuple[int, ...]:
    return (0,) * cats + (1,) * (50 - cats) + (1,) * dogs + (0,) * (50 - dogs)


def test_what_the_rows_tell_and_a_class_that_collapses_stand_under_the_table(tmp_path: Path) -> None:
    one = labelled(50, 20)
    text = shown(one, tmp_path / "collapsed")
    assert "int8: class dog: 40.0% of its 50 rows right, 100.0% before" in text
    (standing,) = (s for s in rank(one).standings if s.candidate.name == "int8")
    assert standing.label_agreement == pytest.approx(0.5)
    found = rank(one).resolvable_points
    assert found is not None
    assert f"100 rows of rows.tsv; 100 rows cannot tell drops under {found:.1f} points" in text
    assert "class dog" not in shown(labelled(48, 48), tmp_path / "evenly")


def test_what_is_paid_besides_the_model_is_told(tmp_path: Path) -> None:
    one = measurement("torch", 8000)
    slow = replace(measurement("onnx", 4000), opening=Opening(10**9, 3 * 10**7, {}, (2_000_000,) * 8, (500_000,) * 8))
    text = shown(run(one, slow), tmp_path / "out")
    assert "besides the model: encoding 0.00 to 2.00 ms, decoding 0.00 to 0.50 ms, first call 10.00 to 30.00 ms" in text


def test_what_the_rows_were_is_said_and_one_of_a_kind_is_singular(tmp_path: Path) -> None:
    made = run(measurement("torch", 8000), measurement("onnx", 4000))
    assert "2 threads on 2 cores" in shown(made, tmp_path / "two")
    alone = replace(made.conditions, threads=1, form="pair", machine=replace(made.conditions.machine, cores=1))
    text = shown(replace(made, conditions=alone), tmp_path / "one")
    assert "1 thread on 1 core," in text
    assert "100 rows of rows.tsv (pairs of texts);" in text


def alone(name: str, latency_ns: int, jitter: int = 1) -> Measurement:
    """A candidate that is no reference and may win all the same."""
    made = measurement(name, latency_ns, jitter=jitter)
    return replace(made, candidate=replace(made.candidate, lossless=True, format="tflite"))


def test_without_a_reference_the_fastest_is_what_was_shown_to_be_faster() -> None:
    board = rank(run(alone("first", 4000), alone("second", 2000), alone("third", 8000)))
    assert [standing.candidate.name for standing in board.standings] == ["second", "first", "third"]
    assert board.reason == "the fastest inside the accuracy budget"
    board = rank(run(alone("first", 4000), alone("second", 2000), alone("noisy", 1990, jitter=20)))
    assert board.winner is not None
    assert board.winner.name == "noisy"
    assert board.reason == "the lowest median inside the accuracy budget; not shown to be faster than second"


def test_without_a_reference_candidates_stand_by_their_speed() -> None:
    board = rank(run(alone("a", 8000), alone("b", 4000), alone("c", 2000), alone("d", 6000)))
    assert [standing.candidate.name for standing in board.standings] == ["c", "b", "d", "a"]


def test_offline_without_a_reference_the_most_rows_win_and_not_the_shortest_batch() -> None:
    def in_batches(name: str, batch_size: int, batch_ns: int) -> Measurement:
        made = measurement(name, batch_ns)
        opening = replace(made.opening or Opening(1, 1, {}), batch_size=batch_size)
        turns = tuple(Turn(turn.round, turn.calls_ns[:1]) for turn in made.turns)
        one = replace(made.candidate, lossless=True, format="tflite")
        return replace(made, candidate=one, opening=opening, turns=turns)

    conditions = replace(CONDITIONS, scenario="Offline", cells=(Cell(None),))
    board = rank(replace(run(in_batches("alone", 1, 1000), in_batches("many", 16, 4000)), conditions=conditions))
    assert board.winner is not None
    assert board.winner.name == "many"
    assert board.reason == "the fastest inside the accuracy budget"


def test_without_a_winner_the_reason_is_that_of_the_candidates() -> None:
    over, late = measurement("int8", 2000, 0.5), replace(CONDITIONS, scenario="Server", arrivals=Arrivals(1.0, 0.001))
    broken = [measurement(name, None, None, failure="no memory") for name in ("torch", "onnx")]
    alone = "1 could not be shown to stay inside the accuracy budget"
    assert rank(run(*broken)).reason == "no candidate may win: 2 failed"
    assert rank(run(*broken, over)).reason == f"no candidate may win: {alone}, 2 failed"
    made = replace(run(broken[0], measurement("onnx", 4000), over), conditions=late)
    assert rank(made).reason == "no candidate may win: 2 did not keep the latency bound, 1 failed"


def served(name: str, call_ns: int) -> Measurement:
    """What queries wait and take that arrive as those of `CONDITIONS` at 100 in a second."""
    rounds = []
    for number in range(12):
        end_ns, times = 0, []
        for arrival_ns in plan.arrivals_ns(number, 100.0, 8, CONDITIONS.seed):
            end_ns = max(end_ns, arrival_ns) + call_ns
            times.append(end_ns - arrival_ns)
        rounds.append(Turn(number, (tuple(times),)))
    return replace(measurement(name, call_ns), turns=tuple(rounds))


def test_one_that_cannot_keep_up_with_the_rate_does_not_win_however_short_its_turns() -> None:
    conditions = replace(CONDITIONS, scenario="Server", cells=(Cell(),), arrivals=Arrivals(100.0, 1000.0))
    board = rank(replace(run(served("onnx", 8_000_000), served("torch", 12_000_000)), conditions=conditions))
    assert [(s.candidate.name, s.verdict) for s in board.standings] == [("onnx", "winner"), ("torch", "over the bound")]
    assert board.standings[1].reason == "cannot keep up with 100 per second: a call takes 12.00 ms on average"
    late = board.standings[1].p90_ns
    assert late is not None
    assert late < 1e9, "its latencies alone are inside the bound"


def test_a_stall_of_the_machine_is_not_taken_for_a_candidate_that_cannot_keep_up() -> None:
    conditions = replace(CONDITIONS, scenario="Server", cells=(Cell(),), arrivals=Arrivals(100.0, 1e6))
    onnx = served("onnx", 2_000_000)
    first, *others = onnx.turns
    stalled = replace(first, calls_ns=(tuple(call_ns + 10**11 for call_ns in first.calls_ns[0]),))
    board = rank(replace(run(replace(onnx, turns=(stalled, *others))), conditions=conditions))
    assert "keep up" not in board.standings[0].reason


def test_a_self_check_that_could_not_be_made_has_not_passed_and_says_why() -> None:
    onnx = measurement("onnx", 4000)
    again = replace(onnx.candidate, id="again", name="onnx-again", twin_of=onnx.candidate.id)
    check = rank(run(onnx, replace(onnx, candidate=again))).self_check
    assert check is not None
    assert check.passed
    assert check.ratio is not None
    seen = f"(one of up to {max(check.ratio.high - 1, 1 - check.ratio.low):.1%} may stay unseen)"
    assert str(check) == f"onnx against itself: {check.ratio}, no difference shown, as it must be {seen}"
    board = rank(run(onnx, Measurement(again, failure="no memory")))
    assert board.self_check is not None
    assert board.self_check.passed is None
    assert str(board.self_check) == "onnx against itself was not compared: onnx-again failed: no memory"
    assert board.winner is None
    assert board.reason.startswith("the self-check could not be made: no ratio of this run is to be believed")


def test_nobody_wins_where_the_self_check_failed(tmp_path: Path) -> None:
    onnx, slower = measurement("onnx", 4_000_000), measurement("onnx", 5_000_000)
    again = replace(slower, candidate=replace(onnx.candidate, id="again", name="onnx-again", twin_of=onnx.candidate.id))
    made = run(measurement("torch", 8_000_000), onnx, measurement("int8", 2_000_000), again)
    board = rank(made)
    assert board.winner is None
    assert {standing.verdict for standing in board.standings} == {"refused", "self-check"}
    assert board.standings[-1].candidate.id == "again"
    text = shown(made, tmp_path / "out")
    assert "no winner: the self-check failed: no ratio of this run is to be believed" in text
    for word in ("winner  ", "next: "):
        assert word not in text


def test_throughput_is_of_the_datas_own_lengths() -> None:
    for cells, place, is_grid in (
        ((Cell(),), 0, False),
        ((Cell(), Cell(8)), 1, False),
        ((Cell(), Cell(1, 128)), 0, True),
        ((Cell(None),), 0, False),
    ):
        conditions = replace(CONDITIONS, cells=cells)
        assert (conditions.throughput_cell, conditions.is_grid) == (place, is_grid)
