"""Reasons for doubt, as values with advice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench import cautions, conditions, plan, timing
from bench.log import Log
from ftc.measurement import Arrivals, Cell, Measurement, Run, Turn
from tests.bench.made import CONDITIONS, candidate, measurement, run


def kinds(made: Run) -> list[str]:
    return [found.kind for found in cautions.after(made)]


def slowing(known: Measurement) -> Measurement:
    """The same times, three times as long in the second half."""
    turns = tuple(
        Turn(turn.round, tuple(tuple(ns * (3 if turn.round > 5 else 1) for ns in calls) for calls in turn.calls_ns))
        for turn in known.turns
    )
    return replace(known, turns=turns)


def renewed(known: Measurement) -> Measurement:
    """The same times, of three processes."""
    return replace(known, turns=tuple(replace(turn, process=turn.round // 4) for turn in known.turns))


def test_a_quiet_machine_gives_no_reason_for_doubt() -> None:
    assert cautions.before(CONDITIONS) == ()
    assert kinds(run(measurement("torch", 800_000_000), measurement("onnx", 400_000_000))) == []


def test_the_machine_is_looked_at_before() -> None:
    machine = replace(CONDITIONS.machine, busy_cores=1.5, cpu_quota=1.0, governor="powersave")
    found = cautions.before(replace(CONDITIONS, machine=machine))
    assert [one.kind for one in found] == ["busy host", "quota", "governor"]
    assert "1.5 of 2 cores" in found[0].text
    assert "--threads 1" in found[1].advice


def test_other_work_on_cores_that_this_process_may_not_use_does_not_make_the_host_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def percents(interval: float, percpu: bool = False) -> list[float] | float:
        return [100.0, 50.0, 0.0, 100.0] if percpu else 62.5

    monkeypatch.setattr("psutil.cpu_percent", percents)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 2}, raising=False)
    assert conditions.machine().busy_cores == 0.5


def test_what_got_slower_is_seen_in_a_run_of_seconds() -> None:
    torch, onnx = measurement("torch", 50_000_000), measurement("onnx", 25_000_000)
    assert "throttling" in kinds(run(torch, slowing(onnx)))
    assert kinds(run(torch, onnx)) == []


def test_the_largest_batch_that_is_tried_may_not_be_the_best() -> None:
    known = measurement("onnx", 400_000_000)
    assert known.opening is not None
    for size, said in ((64, ["largest batch"]), (32, [])):
        assert kinds(run(replace(known, opening=replace(known.opening, batch_size=size)))) == said


def test_the_times_are_looked_at_after() -> None:
    torch, onnx = measurement("torch", 800_000_000), measurement("onnx", 400_000_000)
    assert kinds(run(torch, slowing(onnx))) == ["noisy host", "throttling"]
    assert torch.opening is not None
    late = replace(torch, opening=replace(torch.opening, first_call_ns=20 * 10**9))
    assert kinds(run(late, onnx)) == ["slow first run"]
    wide = replace(run(onnx, measurement("int8", 200_000_000, jitter=20)), precision=0.02)
    assert [one.kind for one in cautions.after(wide)] == ["too few samples", "few processes"]
    (found,) = cautions.after(replace(run(onnx, measurement("int8", 200_000_000)), precision=0.02))
    assert found.kind == "few processes"
    assert "int8: starting them anew takes too long" in found.text
    assert "known to 4.9% at best" in found.text
    (found,) = cautions.after(replace(wide, measurements=tuple(map(renewed, wide.measurements))))
    assert found.kind == "too few samples"
    assert "int8" in found.text
    assert "--time-budget" in str(found)


def test_of_two_with_one_name_only_what_lived_once_is_named() -> None:
    onnx, noisy, alone = (
        renewed(measurement("onnx", 400_000_000)),
        renewed(measurement("int8", 200_000_000, jitter=20)),
        measurement("int8", 300_000_000),
    )
    alone = replace(alone, candidate=replace(alone.candidate, id="another"))
    found = cautions.after(replace(run(onnx, noisy, alone), precision=0.02))
    assert [one.kind for one in found] == ["too few samples", "few processes"]
    assert found[1].text.startswith("int8: starting them anew takes too long")


def test_who_had_too_few_processes_is_named_whether_it_is_the_candidate_or_what_it_is_compared_with() -> None:
    torch, int8 = measurement("torch", 400_000_000), renewed(measurement("int8", 200_000_000))
    (found,) = cautions.after(replace(run(torch, int8), precision=0.02))
    assert found.text.startswith("torch: starting them anew takes too long")
    assert cautions.after(replace(run(torch, int8), precision=0.1)) == (), "what was asked for has been reached"


def test_processes_that_slowed_rounds_have_taken_away_are_told_from_those_that_never_were() -> None:
    onnx, int8 = renewed(measurement("onnx", 400_000_000)), renewed(measurement("int8", 200_000_000))
    twice = [replace(one, turns=(*one.turns, *(later(turn) for turn in one.turns))) for one in (onnx, int8)]
    slowed = [
        replace(one, turns=tuple(replace(turn, core_ns=(200 if turn.round < 12 else 100,)) for turn in one.turns))
        for one in twice
    ]
    found = {one.kind: one for one in cautions.after(replace(run(*slowed), precision=0.02))}
    assert found["few processes"].text.startswith("int8: without the rounds in which cores were slowed, too few")


def later(turn: Turn) -> Turn:
    return replace(turn, round=turn.round + 12, process=2)


def test_a_grid_is_known_as_well_as_its_widest_cell() -> None:
    onnx, int8, noisy = (renewed(measurement("onnx", 400_000_000, jitter=hundredths)) for hundredths in (1, 1, 20))
    int8 = replace(int8, candidate=candidate("int8"))

    def with_third(known: Measurement, third: Measurement) -> Measurement:
        both = zip(known.turns, third.turns, strict=True)
        return replace(known, turns=tuple(replace(t, calls_ns=(*t.calls_ns, other.calls_ns[0])) for t, other in both))

    made = replace(run(with_third(onnx, onnx), with_third(int8, noisy)), precision=0.1)
    grid = replace(made, conditions=replace(CONDITIONS, cells=(Cell(), Cell(8), Cell(1, 128))))
    narrow, wide = (timing.widest(Log(one, None), ()) for one in (made, grid))
    assert narrow is not None
    assert wide is not None
    assert narrow < 0.1 < wide
    assert (kinds(made), kinds(grid)) == ([], ["too few samples"])


def test_a_self_check_that_could_hardly_have_failed_is_said() -> None:
    def checked(jitter: int) -> list[str]:
        onnx, again = (measurement("onnx", 400_000_000, jitter=hundredths) for hundredths in (1, jitter))
        twin = replace(onnx.candidate, id="again", name="onnx-again", twin_of=onnx.candidate.id)
        return kinds(run(onnx, replace(again, candidate=twin)))

    assert checked(jitter=1) == []
    assert checked(jitter=20) == ["blunt self-check"]


def test_what_queries_wait_for_is_not_taken_for_the_machine() -> None:
    slowed = run(measurement("torch", 800_000_000), slowing(measurement("onnx", 400_000_000)))
    served = replace(CONDITIONS, scenario="Server", arrivals=Arrivals(1.0, 100.0))
    assert kinds(replace(slowed, conditions=served)) == []


def test_rounds_of_an_instant_are_looked_at_together() -> None:
    known = measurement("onnx", 10_000_000)
    turns = tuple(Turn(number, ((10_000_000 * (1 + number % 2),) * 8, (1,))) for number in range(400))
    assert kinds(run(replace(known, turns=turns))) == [], "twice as slow in every other tenth of a second"
    late = tuple(replace(t, calls_ns=((10_000_000 * (1 + t.round // 200),) * 8, (1,))) for t in turns)
    assert kinds(run(replace(known, turns=late))) == ["noisy host", "throttling"]


def test_long_examples_are_not_taken_for_slow_moments() -> None:
    many = replace(CONDITIONS, timed_examples=64)
    lengths = np.random.default_rng(0).lognormal(0, 0.6, 64)

    def of(rounds: int) -> Run:
        turns = tuple(
            Turn(n, (tuple(int(1e8 * lengths[row]) for row in picks[0]), (1,)))
            for n in range(rounds)
            for picks in (plan.round_of(n, (), (64,), (8,), many.seed).picks,)
        )
        return replace(run(replace(measurement("onnx", 400_000_000), turns=turns)), conditions=many)

    assert kinds(of(200)) == []
    assert kinds(of(20)) == [], "what each usually takes is not known yet"
    (known,) = of(200).measurements
    slowed = tuple(
        replace(turn, calls_ns=tuple(tuple(ns * (1 + turn.round // 100) for ns in calls) for calls in turn.calls_ns))
        for turn in known.turns
    )
    assert kinds(replace(of(200), measurements=(replace(known, turns=slowed),))) == ["noisy host", "throttling"]
