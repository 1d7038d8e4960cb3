"""Whole runs with real worker processes on tiny models."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from bench import timed, timing
from bench.leaderboard import rank
from bench.lives import Lives
from bench.remote import Worker
from bench.run import Options, bench
from bench.trial import Trial
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset, Example
from ftc.errors import InputError, RunError
from ftc.measurement import Cell
from ftc.results_file import read_results
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task

QUICK = Options(threads=1, time_budget_s=0.3)


def workers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "bench.worker" in " ".join(p.cmdline())]


def test_the_checkpoint_and_its_exports_are_measured_and_one_broken_file_is_a_row(
    text_checkpoint: Path, text_onnx: Artifact, text_int8: Artifact, text_data: Dataset, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(text_int8.path, tmp_path / "broken"))
    (broken / "model.onnx").write_bytes(b"\0" * text_int8.manifest.facts.size_bytes)
    damaged = replace(text_int8, path=broken, manifest=replace(text_int8.manifest, id="0" * 16, name="damaged"))
    path = tmp_path / "bench.jsonl"
    candidates = [text_onnx, text_int8, damaged, open_any(text_checkpoint)]
    board = bench(candidates, data=text_data, options=QUICK, results_path=path)
    assert board.winner is not None
    assert board.standings[-1].candidate.name == "damaged"
    assert "ONNX Runtime cannot open it" in board.standings[-1].reason
    assert not workers()

    (run,) = read_results(path)
    assert rank(run) == board
    assert run.conditions.data is not None
    assert (run.conditions.data.rows, run.conditions.data.fingerprint) == (40, text_data.fingerprint)
    assert run.conditions.form == "text"
    assert run.conditions.threads == 1
    for measurement in run.measurements:
        if measurement.failure is None:
            assert measurement.opening is not None
            assert len(measurement.opening.encode_ns) == len(measurement.opening.decode_ns) == 40
            assert len(measurement.turns) >= 10
            assert all(value > 0 for row in measurement.by_round().values() for value in row)
            assert measurement.peak_rss_bytes is not None
            assert measurement.peak_rss_bytes > 10**7
    onnx = next(s for s in board.standings if s.candidate.name == text_onnx.manifest.name)
    assert onnx.label_agreement == 1.0
    assert onnx.drop_points == 0.0
    assert onnx.candidate.lossless


def test_accuracy_is_that_of_batches_of_one(text_int8: Artifact, text_data: Dataset, tmp_path: Path) -> None:
    bench([text_int8], data=text_data, options=QUICK, results_path=tmp_path / "b.jsonl")
    task, session = open_task(text_int8), open_session(text_int8)
    logits = np.concatenate([session.run(task.encode([example]))["logits"] for example in text_data.examples])
    (run,) = read_results(tmp_path / "b.jsonl")
    accuracy = run.measurements[0].accuracy
    assert accuracy is not None
    assert accuracy.predictions == tuple(logits.argmax(-1).tolist())
    assert text_data.labels is not None
    assert accuracy.metrics == pytest.approx(task.score({"logits": logits}, text_data.labels))


def test_without_data_only_lossless_candidates_may_win(
    text_onnx: Artifact, text_int8: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    board = bench([text_int8, text_onnx], options=QUICK)
    assert board.winner is not None
    assert board.winner.id == text_onnx.manifest.id
    assert board.conditions.data is None
    assert "no --data" in capsys.readouterr().err


def test_limit_draws_rows_and_says_so(
    text_onnx: Artifact, text_data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    board = bench([text_onnx], data=text_data, options=replace(QUICK, limit=7))
    assert board.conditions.data is not None
    assert board.conditions.data.rows == 7
    assert "7 of 40 rows" in capsys.readouterr().err


def test_a_candidate_killed_in_the_middle_becomes_a_failed_row(
    text_onnx: Artifact, text_int8: Artifact, text_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Trial.answer

    def killed_after_answering(self: Trial, *args: object) -> None:
        answer(self, *args)  # type: ignore[arg-type]
        if self.candidate.id == text_int8.manifest.id:
            assert self.worker.process is not None
            os.kill(self.worker.process.pid, signal.SIGKILL)

    monkeypatch.setattr(Trial, "answer", killed_after_answering)
    board = bench([text_onnx, text_int8], data=text_data, options=QUICK)
    assert board.winner is not None
    assert board.winner.id == text_onnx.manifest.id
    failed = board.standings[-1]
    assert failed.verdict == "failed"
    assert "killed by signal 9" in failed.reason
    assert failed.metrics["accuracy"] >= 0, "what was found before is kept"


def test_a_candidate_killed_after_its_last_turn_keeps_its_row(
    text_onnx: Artifact, text_int8: Artifact, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    close = Trial.close

    def killed_before(self: Trial) -> None:
        if self.candidate.id == text_int8.manifest.id:
            assert self.worker.process is not None
            os.kill(self.worker.process.pid, signal.SIGKILL)
        close(self)

    monkeypatch.setattr(Trial, "close", killed_before)
    monkeypatch.setattr(Lives, "renew", lambda self: {})
    board = bench([text_onnx, text_int8], options=QUICK)
    int8 = next(one for one in board.standings if one.candidate.id == text_int8.manifest.id)
    assert int8.verdict != "failed"
    assert int8.rounds >= 10
    assert int8.peak_rss_bytes is None
    assert "what this process has needed is not known" in capsys.readouterr().err


def test_a_self_check_is_a_row_that_cannot_win(text_onnx: Artifact, text_int8: Artifact, tmp_path: Path) -> None:
    board = bench([text_onnx, text_int8], options=replace(QUICK, self_check=True), results_path=tmp_path / "b.jsonl")
    twin = board.standings[-1]
    assert (twin.verdict, twin.candidate.twin_of) == ("self-check", text_onnx.manifest.id)
    assert board.self_check is not None
    assert board.self_check.name == text_onnx.manifest.name
    assert board.self_check.ratio is not None
    assert rank(read_results(tmp_path / "b.jsonl")[0]) == board


def test_the_self_check_is_of_what_the_others_are_compared_with(text_onnx: Artifact, tmp_path: Path) -> None:
    first = seal_again(text_onnx, tmp_path / "a", "a-onnx")
    board = bench([text_onnx, first], options=replace(QUICK, self_check=True))
    assert board.self_check is not None
    assert board.self_check.name == "a-onnx"
    (compared,) = (s for s in board.standings if s.candidate.name == "a-onnx")
    assert compared.ratio_to_float_onnx is not None
    assert compared.ratio_to_float_onnx.value == 1.0


def seal_again(artifact: Artifact, place: Path, name: str) -> Artifact:
    """The same file under another name and id."""
    shutil.copytree(artifact.path, place)
    lineage = (*artifact.manifest.lineage[:-1], replace(artifact.manifest.lineage[-1], id=name, name=name))
    return Artifact(place, replace(artifact.manifest, id=name, name=name, lineage=lineage))


def test_candidates_are_held_to_the_cores_that_are_written_down(
    text_onnx: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[set[int]] = []
    turn = Trial.turn

    def watched(trial: Trial, *given: object) -> list[list[int]]:
        assert trial.worker.process is not None
        held.append(os.sched_getaffinity(trial.worker.process.pid))
        return turn(trial, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Trial, "turn", watched)
    bench([text_onnx], options=QUICK, results_path=tmp_path / "b.jsonl")
    (run,) = read_results(tmp_path / "b.jsonl")
    assert run.conditions.pinned_cores is not None
    assert held
    assert all(cores == set(run.conditions.pinned_cores) for cores in held)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_answers_that_are_not_finite_are_a_failed_row(
    wrong: float, text_onnx: Artifact, text_int8: Artifact, text_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Worker.answer

    def broken(self: Worker, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        outputs = answer(self, examples)
        if self._artifact is text_int8:
            outputs["logits"][2:4, 0] = wrong
        return outputs

    ended: list[Artifact] = []
    end = Worker.end
    monkeypatch.setattr(Worker, "end", lambda worker: (ended.append(worker._artifact), end(worker))[1])
    monkeypatch.setattr(Worker, "answer", broken)
    board = bench([text_onnx, text_int8], data=text_data, options=QUICK)
    assert ended[0] is text_int8, "at once, since others may need the memory"
    failed = board.standings[-1]
    assert failed.verdict == "failed"
    assert "its logits are not finite for 6 of 40 rows, first for row 3" in failed.reason
    assert board.winner is not None
    assert board.winner.id == text_onnx.manifest.id


def test_offline_finds_the_batch_size_of_each_candidate(text_onnx: Artifact, text_data: Dataset) -> None:
    board = bench([text_onnx], data=text_data, options=replace(QUICK, scenario="Offline"))
    standing = board.standings[0]
    assert standing.batch_size in (1, 2, 4, 8, 16, 32)
    assert standing.rows_per_second is not None
    assert standing.ratio_to_float_onnx is not None


def test_offline_takes_the_smallest_size_that_is_as_fast_as_any() -> None:
    cells = {size: tuple((0,) * size for _ in range(64 // size)) for size in (1, 8, 32, 64)}
    per_row_ns = {1: 400, 8: 101, 32: 100, 64: 150}

    class Scripted:
        """A worker whose batches take what the test says."""

        def prepare(self, _examples: object, cells: Sequence[Sequence[Sequence[int]]]) -> None:
            self.sizes = [len(batches[0]) for batches in cells]

        def __init__(self) -> None:
            self.asked: list[str] = []

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: self.asked.append(name)

        def turn(self, picks: Sequence[Sequence[int]]) -> list[list[int]]:
            self.asked.append("turn")
            return [[per_row_ns[size] * size] * len(order) for size, order in zip(self.sizes, picks, strict=True)]

    worker = Scripted()
    trial: Any = Trial(None, worker, None)  # type: ignore[arg-type]
    assert trial._best_batch_size(SimpleNamespace(examples=("a",), offered=cells)) == 8
    assert worker.asked == ["warm", "turn", "end", "open", "first_call"], "warmed up, and memory is not of larger ones"


def test_offline_all_batch_sizes_hold_the_same_rows(text_onnx: Artifact, text_data: Dataset) -> None:
    cells = Options(scenario="Offline").cells()
    examples = timed.draw([text_onnx], open_task(text_onnx), text_data, cells, seed=0)
    rows = {size: sorted(row for batch in batches for row in batch) for size, batches in examples.offered.items()}
    assert list(rows) == [1, 2, 4, 8, 16, 32]
    assert all(held == sorted([*range(40), *range(24)]) for held in rows.values()), "of 40 rows, 24 twice"
    assert [row for batch in examples.cells[0] for row in batch] == [row for (row,) in examples.offered[1]]


def test_a_server_that_cannot_keep_its_bound_does_not_win(text_onnx: Artifact, text_data: Dataset) -> None:
    served = replace(QUICK, scenario="Server", rate_per_s=500.0, bound_ms=10_000.0, time_budget_s=3)
    assert bench([text_onnx], data=text_data, options=served).winner is not None
    board = bench([text_onnx], data=text_data, options=replace(served, bound_ms=0.001))
    assert board.winner is None
    assert board.standings[0].verdict == "over the bound"
    assert "exceeds the bound of 0.001 ms" in board.standings[0].reason


def test_queries_that_do_not_come_within_the_budget_are_refused_before_anything_is_opened(
    text_onnx: Artifact, text_int8: Artifact, tmp_path: Path
) -> None:
    served = replace(QUICK, scenario="Server", rate_per_s=0.1, bound_ms=100.0, time_budget_s=30, self_check=True)
    with pytest.raises(
        InputError, match=r"240 queries .* take 2400 s to come; .* --time-budget 2400s, or --rate 8 or more"
    ):
        bench([text_onnx, text_int8], options=served, results_path=tmp_path / "b.jsonl")
    assert not (tmp_path / "b.jsonl").exists()
    timing.check(replace(served, time_budget_s=2400), 3)
    timing.check(replace(served, rate_per_s=8.0), 3)


def test_queries_that_nobody_keeps_up_with_are_as_many_as_the_time_budget_holds() -> None:
    served = replace(QUICK, scenario="Server", rate_per_s=100.0, bound_ms=100.0, time_budget_s=20)
    assert timing._arrivals(served, 2, 2e6)[1] == 50
    assert timing._arrivals(replace(served, rate_per_s=1e6), 2, 20e6)[1] == 50
    assert timing._arrivals(replace(served, rate_per_s=1e6), 2, 20e9)[1] == timing.LEAST_QUERIES


def test_a_grid_of_batches_and_lengths_is_timed_beside_the_datas_own(text_onnx: Artifact, text_data: Dataset) -> None:
    grid = replace(QUICK, batch_sizes=(1, 4), lengths=(12,))
    board = bench([text_onnx], data=text_data, options=grid)
    cells = [one.cell for one in board.standings[0].cells]
    assert cells == [Cell(), Cell(8), Cell(1, 12), Cell(4, 12)]
    assert all(one.rows_per_second > 0 for one in board.standings[0].cells)
    with pytest.raises(InputError, match="cuts texts at 64 tokens"):
        bench([text_onnx], data=text_data, options=replace(QUICK, lengths=(1000,)))


def test_when_all_fail_the_run_fails(text_onnx: Artifact, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(text_onnx.path, tmp_path / "copy"))
    (copy / "model.onnx").write_bytes(b"\0" * text_onnx.manifest.facts.size_bytes)
    with pytest.raises(RunError, match="no candidate could be measured"):
        bench([replace(text_onnx, path=copy)], options=QUICK)


def test_one_artifact_is_not_measured_twice_in_a_run(text_onnx: Artifact, tmp_path: Path) -> None:
    twin, results = replace(text_onnx, path=tmp_path / "twin"), tmp_path / "b.jsonl"
    with pytest.raises(InputError, match=f"and {twin.path} have the same id, .* give one of them"):
        bench([text_onnx, twin], options=QUICK, results_path=results)
    assert not results.exists(), "a run that could not be read again is not begun"


def test_options_are_refused_before_anything_starts(text_onnx: Artifact) -> None:
    with pytest.raises(InputError, match="cpu or cuda, got 'abacus'"):
        Options(device="abacus")
    with pytest.raises(InputError, match="nothing to measure"):
        bench([])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"threads": 0}, "--threads must be from 1 to 1024, got 0"),
        ({"threads": 2**40}, "--threads"),
        ({"batch_size": 0}, "--batch-size must be from 1 to 4096"),
        ({"batch_size": 10_000_000}, "--batch-size"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"max_drop_points": float("nan")}, "--max-drop must be from 0 to 100, got nan"),
        ({"max_drop_points": -1}, "--max-drop"),
        ({"max_drop_points": float("inf")}, "--max-drop"),
        ({"time_budget_s": float("nan")}, "--time-budget must be a number of seconds above 0, got nan"),
        ({"time_budget_s": float("inf")}, "--time-budget"),
        ({"time_budget_s": 0}, "--time-budget"),
        ({"time_limit_s": -1}, "--time-limit"),
        ({"precision": 0.01}, "--precision must be from 1.4% to 100%, or none, got 1%"),
        ({"precision": 2.0}, "--precision must be .* got 200%"),
        ({"precision": float("nan")}, "--precision"),
        ({"batch_sizes": (1, 0)}, "--batch-sizes must be from 1"),
        ({"lengths": (0,)}, "--lengths must be at least 1"),
        ({"scenario": "Server"}, "needs --rate QPS and --latency-bound MS"),
        ({"rate_per_s": 5.0, "bound_ms": 5.0}, "belong to --scenario server"),
        ({"scenario": "Offline", "lengths": (8,)}, "leave one out"),
        ({"seed": -1}, "--seed must be from 0"),
        ({"seed": 2**70}, "--seed"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Options(**wrong)  # type: ignore[arg-type]


def test_the_largest_numbers_that_are_taken_work(text_onnx: Artifact, text_data: Dataset) -> None:
    most = Options(threads=8, time_budget_s=0.1, limit=2, max_drop_points=100, seed=2**32 - 1)
    board = bench([text_onnx], data=text_data, options=most)
    assert board.standings[0].verdict == "winner"
