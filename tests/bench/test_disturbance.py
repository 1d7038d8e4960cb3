"""Rounds in which something slowed the cores are told from others, and ratios come from the others."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import cautions
from bench.compare import compare
from bench.described import rounds
from bench.disturbance import LEAST_CLEAR, differences, slowed, typical_ns
from bench.leaderboard import rank
from bench.standing import judge_of
from ftc.errors import InputError
from ftc.measurement import Measurement, Run, Turn
from ftc.results_file import read_results
from tests.bench.made import candidate, measurement, run
from tests.bench.test_results import write

USUAL_NS, SLOW_NS = 100_000, 185_000


def turns(times_ns: Sequence[int], slow: Sequence[int] = (), factor: float = 1.0) -> tuple[Turn, ...]:
    """Rounds of eight calls on two cores; in those that are slow, one core is, and calls take so many times as long."""
    return tuple(
        Turn(
            number,
            ((round(ns * (factor if number in slow else 1.0)),) * 8, (4 * ns,)),
            core_ns=(USUAL_NS + number, SLOW_NS if number in slow else USUAL_NS),
        )
        for number, ns in enumerate(times_ns)
    )


def known(name: str, ns: int, slow: Sequence[int] = (), factor: float = 1.0, rounds: int = 40) -> Measurement:
    jittered = [ns + ns * ((number * 7) % 5 - 2) // 100 for number in range(rounds)]
    return replace(measurement(name, ns), turns=turns(jittered, slow, factor))


@given(
    steady=st.lists(st.integers(100, 115), min_size=30, max_size=60),
    slow=st.sets(st.integers(0, 29), max_size=10),
    unit=st.integers(1, 10_000),
)
def test_turns_are_slowed_against_what_is_usual_however_fast_the_cores_are(
    steady: list[int], slow: set[int], unit: int
) -> None:
    read = [(185 if number in slow else ns, 100) for number, ns in enumerate(steady)]
    told = [("a", Turn(number, ((1,),), core_ns=(a * unit, b * unit))) for number, (a, b) in enumerate(read)]
    assert slowed(told) == {("a", number) for number in slow}
    assert slowed(("a", replace(turn, core_ns=())) for _, turn in told) == frozenset()


def test_what_is_slow_nearly_always_is_taken_for_undisturbed() -> None:
    assert slowed(("a", turn) for turn in turns([1000] * 40, range(1, 40))) == frozenset()


def test_ratios_come_from_rounds_in_which_no_core_was_slowed() -> None:
    slow = range(0, 40, 3)
    onnx, int8 = known("onnx", 4000, slow, 1.2), known("int8", 1000, slow, 1.7)
    made = run(known("torch", 8000), onnx, int8)
    judge = judge_of(made)
    ratio = judge.ratio(int8, onnx)
    assert ratio is not None
    assert ratio.value == pytest.approx(4.0, rel=0.01)
    assert judge.clear(int8, onnx) == {number for number in range(40) if number % 3}
    standing = judge.standing(int8, None)
    assert (standing.rounds, standing.clear_rounds) == (40, 26)
    assert rounds(rank(made)) == "40 rounds, at least 26 of them undisturbed"
    (found,) = (one for one in cautions.after(made) if one.kind == "slowed cores")
    assert "in 14 of 40 rounds of torch cores were slower than undisturbed (arithmetic in 14)" in found.text
    assert "ratios come from the others" in found.text


def test_a_turn_of_one_candidate_is_enough_to_leave_a_round_out_of_its_ratios_alone() -> None:
    onnx, int8, other = known("onnx", 4000), known("int8", 1000, range(20), 1.7), known("other", 2000)
    judge = judge_of(run(onnx, int8, other))
    assert judge.clear(int8, onnx) == set(range(20, 40))
    assert judge.clear(other, onnx) == set(range(40))


def test_of_many_candidates_each_leaves_out_its_own_rounds_and_so_it_is_said() -> None:
    many = [known(f"other{place}", 2000, range(place, 80, 8), 1.5, rounds=80) for place in range(8)]
    made = run(known("onnx", 4000, rounds=80), *many)
    (found,) = (one for one in cautions.after(made) if one.kind == "slowed cores")
    assert "in 10 of 80 rounds" in found.text
    assert "ratios come from the others" in found.text


@pytest.mark.parametrize(("clear", "by_clear"), [(LEAST_CLEAR, True), (LEAST_CLEAR - 1, False)])
def test_a_ratio_comes_from_ten_undisturbed_rounds_or_its_interval_holds_them(clear: int, by_clear: bool) -> None:
    slow = range(clear, 60)
    onnx, int8 = known("onnx", 4000, slow, 1.2, 60), known("int8", 1000, slow, 1.7, 60)
    ratio = judge_of(run(onnx, int8)).ratio(int8, onnx)
    assert ratio is not None
    assert ratio.value == pytest.approx(4.0 if by_clear else 4 * 1.2 / 1.7, rel=0.01)
    assert ratio.high > 4.0, "the truth without neighbours"
    assert (ratio.low > 3.5) == by_clear


def test_where_too_few_rounds_are_undisturbed_it_is_said() -> None:
    slow = [number for number in range(40) if number % 5]
    made = run(known("onnx", 4000, slow, 1.2), known("int8", 1000, slow, 1.8))
    (found,) = (one for one in cautions.after(made) if one.kind == "slowed cores")
    assert "in 32 of 40 rounds" in found.text
    assert "too few others for ratios, which are less certain" in found.text


def test_a_few_slow_rounds_are_no_reason_for_doubt() -> None:
    made = run(known("onnx", 4000, (3, 9)), known("int8", 1000))
    assert "slowed cores" not in [one.kind for one in cautions.after(made)]


def test_readings_are_kept_in_the_results_and_must_be_of_as_many_cores(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    made = run(known("onnx", 4000, (3,)), known("int8", 1000))
    write(made, path)
    (read,) = read_results(path)
    assert judge_of(read).slowed == {(candidate("onnx").id, 3)}
    lines = path.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if '"round":5' in line)
    for whole, part in (
        ('"core_ns":[100005,100000]', '"core_ns":[100005]'),
        ('"cache_ns":[]', '"cache_ns":[7]'),
        ('"transfer_ns":[]', '"transfer_ns":[7]'),
    ):
        assert whole in lines[place]
        spoilt = [*lines[:place], lines[place].replace(whole, part), *lines[place + 1 :]]
        path.write_text("\n".join(spoilt) + "\n")
        with pytest.raises(InputError, match="readings of 1 cores where others have those of 2"):
            read_results(path)


def read_as(made: Run, id: str, **readings: tuple[int, ...]) -> Run:
    """The run, as if each of its turns had had these readings."""
    return replace(
        made,
        id=id,
        measurements=tuple(
            replace(one, turns=tuple(replace(turn, **readings) for turn in one.turns)) for one in made.measurements
        ),
    )


def test_runs_on_cores_of_another_speed_are_not_compared(tmp_path: Path) -> None:
    old, same, other = (tmp_path / name for name in ("old", "same", "other"))
    made = run(known("onnx", 4000), known("int8", 1000), id="old")
    write(made, old)
    write(replace(made, id="same"), same)
    write(read_as(made, "other", core_ns=(190_000, 100_000)), other)
    assert not compare(old, same).is_worse
    with pytest.raises(
        InputError, match=r"speed of the cores \(arithmetic\): 0\.1 ms for a fixed piece of work then, 0\.19 ms now"
    ):
        compare(old, other)


def test_where_one_of_two_runs_tells_nothing_of_its_cores_both_go_by_all_rounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = range(0, 40, 2)
    made = run(known("onnx", 4000, slow, 1.2), known("int8", 1000, slow, 2.0), id="now")
    write(read_as(made, "then", core_ns=()), tmp_path / "then")
    write(made, tmp_path / "now")
    comparison = compare(tmp_path / "then", tmp_path / "now")
    assert [one.ratio.value for one in comparison.compared] == [1.0]
    assert "then has no readings, or too few, to tell in which rounds cores were slowed (arithmetic)" in " ".join(
        capsys.readouterr().err.split()
    )


def walked(made: Run, ns: int, at: Mapping[int, int] | None = None, id: str = "1") -> Run:
    """The run, as if walks through its caches took so long, in some rounds otherwise, with a new one every 4 rounds."""
    return replace(
        made,
        id=id,
        measurements=tuple(
            replace(
                one,
                turns=tuple(
                    replace(turn, cache_ns=(ns, (at or {}).get(turn.round, ns) + turn.round // 4)) for turn in one.turns
                ),
            )
            for one in made.measurements
        ),
    )


def test_runs_with_a_cache_of_another_speed_are_not_compared(tmp_path: Path) -> None:
    old, like, other, silent = (tmp_path / name for name in ("old", "like", "other", "silent"))
    made = run(known("onnx", 4000), known("int8", 1000))
    write(walked(made, 110_000, id="old"), old)
    write(walked(made, 125_000, id="like"), like)
    write(walked(made, 190_000, id="other"), other)
    write(read_as(made, "silent"), silent)
    assert not compare(old, like).is_worse
    assert not compare(silent, other).is_worse, "what one does not tell is not known to differ"
    with pytest.raises(InputError, match=r"\(cache\): 0\.11 ms for a fixed piece of work then, 0\.19 ms now"):
        compare(old, other)
    few = read_as(made, "few", cache_ns=(190_000, 190_000))
    assert differences(walked(made, 110_000), few) == (), "a walk or two tell nothing"


def test_runs_whose_cores_lay_apart_are_not_compared() -> None:
    made = run(known("onnx", 4000), known("int8", 1000))
    near, apart = (read_as(made, "", transfer_ns=(ns, ns)) for ns in (9_000, 32_000))
    (told,) = differences(near, apart)
    assert told.startswith("speed of the cores (transfers): 0.009 ms for a fixed piece of work then, 0.032 ms now")


def test_what_is_typical_is_so_of_undisturbed_turns() -> None:
    made = run(known("onnx", 4000, range(0, 40, 2)), known("int8", 1000, range(0, 40, 2)))
    assert typical_ns(made)["arithmetic"] == pytest.approx(USUAL_NS, rel=0.001)
    first, second = range(20), range(20, 40)
    torn = [
        replace(one, turns=tuple(replace(turn, core_ns=(slow(turn, first), slow(turn, second))) for turn in one.turns))
        for one in made.measurements
    ]
    alternating = replace(made, measurements=tuple(torn))
    assert len(judge_of(alternating).slowed) == 80, "first one core, then the other"
    assert typical_ns(alternating)["arithmetic"] == USUAL_NS


def slow(turn: Turn, rounds: Container[int]) -> int:
    return SLOW_NS if turn.round in rounds else USUAL_NS


def test_a_run_that_an_earlier_version_began_is_judged_by_what_each_turn_has() -> None:
    onnx, int8 = known("onnx", 4000), known("int8", 1000)
    later = [
        replace(one, turns=tuple(replace(turn, transfer_ns=(near, near)) if near else turn for turn, near in pairs))
        for one in (onnx, int8)
        if (pairs := [(turn, (0, 9_000, 30_000)[turn.round % 3]) for turn in one.turns])
    ]
    made = run(*later)
    assert {number for _, number in judge_of(made).slowed} == set(range(2, 40, 3))
    assert typical_ns(made)["transfers"] == 9_000


def test_rounds_in_which_others_filled_the_cache_are_left_out() -> None:
    filled = range(0, 40, 3)
    made = run(known("onnx", 4000), slower_calls(known("int8", 1000), filled, 1.7))
    made = walked(made, 110_000, dict.fromkeys(filled, 450_000))
    assert_left_out(made, "in 14 of 40 rounds of int8 cores were slower than undisturbed (cache in 14)")


def test_rounds_in_which_cores_lay_apart_are_left_out() -> None:
    apart = range(10, 30)
    made = run(known("onnx", 4000), slower_calls(known("int8", 1000), apart, 1.7))
    made = replace(
        made,
        measurements=tuple(
            replace(
                one,
                turns=tuple(
                    replace(turn, transfer_ns=(9_000, 30_000 if turn.round in apart else 10_000)) for turn in one.turns
                ),
            )
            for one in made.measurements
        ),
    )
    assert_left_out(made, "in 20 of 40 rounds of int8 cores were slower than undisturbed (transfers in 20)")


def assert_left_out(made: Run, told: str) -> None:
    """That its INT8 is found to be the four times as fast that it is without those rounds, and that it is cautioned."""
    onnx, int8 = made.measurements
    ratio = judge_of(made).ratio(int8, onnx)
    assert ratio is not None
    assert ratio.value == pytest.approx(4.0, rel=0.01)
    (found,) = (one for one in cautions.after(made) if one.kind == "slowed cores")
    assert told in found.text


def slower_calls(measurement: Measurement, rounds: Container[int], factor: float) -> Measurement:
    """As if nothing but its calls told that something slowed it."""
    return replace(
        measurement,
        turns=tuple(
            replace(turn, calls_ns=tuple(tuple(round(ns * factor) for ns in calls) for calls in turn.calls_ns))
            if turn.round in rounds
            else turn
            for turn in measurement.turns
        ),
    )


def test_rounds_that_the_reference_had_no_turn_in_are_not_called_disturbed() -> None:
    """A run was killed in the middle of a round, and gone on with."""
    onnx, int8 = known("onnx", 4000), known("int8", 1000)
    made = run(replace(onnx, turns=onnx.turns[:-1]), int8)
    judge = judge_of(made)
    assert [(one.rounds, one.clear_rounds) for one in rank(made).standings] == [(40, 40), (39, 39)]
    assert rounds(rank(made)) == "40 rounds"
    failed = judge_of(run(onnx, replace(int8, failure="its process ended")))
    assert failed.standing(failed.run.measurements[1], None).clear_rounds == 0
    assert len(judge.clear(int8, made.measurements[0])) == 39


def test_of_a_lone_candidate_nothing_is_said_of_ratios() -> None:
    (found,) = (one for one in cautions.after(run(known("onnx", 4000, range(20)))) if one.kind == "slowed cores")
    assert found.text.endswith("(arithmetic in 20): times are of all.")


def test_two_runs_are_compared_by_what_both_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both tell of neighbours, which count in neither; one alone tells of its cache."""
    disturbed, filled = range(0, 40, 4), range(1, 40, 4)
    onnx, int8 = known("onnx", 4000, disturbed, 1.2), known("int8", 1000, disturbed, 2.0)
    then = run(onnx, int8, id="then")
    now = walked(run(onnx, slower_calls(int8, filled, 1.01)), 110_000, dict.fromkeys(filled, 400_000), id="now")
    write(then, tmp_path / "then")
    write(now, tmp_path / "now")
    (one,) = compare(tmp_path / "then", tmp_path / "now").compared
    assert one.then.value == pytest.approx(4.0, rel=0.01)
    assert one.now.value == pytest.approx(4.0, rel=0.02)
    said = " ".join(capsys.readouterr().err.split())
    assert "then has no readings, or too few, to tell in which rounds cores were slowed (cache)" in said
