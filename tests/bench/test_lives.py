"""Processes that are replaced during a run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench import lives
from bench.lives import Lives
from bench.options import Options
from bench.remote import Worker
from bench.run import bench
from bench.timed import Timed
from bench.trial import Trial
from ftc.artifact import Artifact
from ftc.data import Dataset
from ftc.results_file import read_results
from ftc.runtimes.session import available_cores

QUICK = Options(threads=1, time_budget_s=0.3)


class Warm:
    """A worker that needs no warming up."""

    def warm(self) -> None:
        pass


class Counted(Trial):
    """A candidate that is only counted."""

    renewed = 0

    def renew(self, timed: Timed) -> None:
        self.renewed += 1


def test_what_opens_quickly_lives_several_times_and_what_opens_slowly_once() -> None:
    quick, slow = (Counted(None, Warm(), None, opening_s=s) for s in (1.0, 100.0))  # type: ignore[arg-type]
    now = [0.0]
    kept = Lives({"quick": quick, "slow": slow}, None, 60.0, lambda: now[0])  # type: ignore[arg-type]
    each_s = 1 / min(2, available_cores()) / lives.SHARE  # what one second of opening is worth
    for at_s, renewed in ((0.99 * each_s, 0), (1.01 * each_s, 1), (1.02 * each_s, 2)):
        now[0] = at_s
        assert kept.renew() == {}
        # the second opening took no time on this clock, so it may be done again at once
        assert (quick.renewed, slow.renewed) == (renewed, 0)


@pytest.mark.parametrize("openings_s", [[0.5, 0.5], [0.1, 0.4, 4.0], [0.3] * 8])
@pytest.mark.parametrize("budget_s", [10.0, 30.0, 300.0])
def test_starting_anew_keeps_to_its_share_and_makes_three_lives_if_it_can(
    openings_s: list[float], budget_s: float
) -> None:
    now = [0.0]

    class Timed(Counted):
        def renew(self, timed: object) -> None:
            self.renewed += 1
            now[0] += self.opening_s / at_once  # side by side

    at_once = min(len(openings_s), available_cores())
    trials = {str(n): Timed(None, Warm(), None, opening_s=s) for n, s in enumerate(openings_s)}  # type: ignore[arg-type]
    kept = Lives(trials, None, budget_s, lambda: now[0])  # type: ignore[arg-type]
    spent_s = 0.0
    while now[0] < budget_s:
        before = now[0]
        kept.renew()
        spent_s += now[0] - before
        now[0] += 0.1
    assert spent_s <= lives.MOST_SHARE * budget_s + 0.1
    for trial in trials.values():
        assert trial.renewed == 0 or trial.renewed >= 2, "two processes tell nothing that one does not"


def test_none_is_started_anew_for_the_last_moments() -> None:
    now = [0.0]
    trial = Counted(None, Warm(), None, opening_s=1.0)  # type: ignore[arg-type]
    kept = Lives({"one": trial}, None, 30.0, lambda: now[0])  # type: ignore[arg-type]
    now[0] = 29.0
    assert kept.renew() == {}
    assert trial.renewed == 0


def test_rounds_come_from_several_processes_and_the_most_memory_of_any_is_told(
    text_onnx: Artifact, text_int8: Artifact, text_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes: dict[str, list[int]] = {}
    peaks: dict[str, list[int]] = {}
    turn, renew = Trial.turn, Trial.renew

    def watched(trial: Trial, *given: object) -> list[list[int]]:
        assert trial.worker.process is not None
        known = processes.setdefault(trial.candidate.id, [])
        if trial.worker.process.pid not in known:
            known.append(trial.worker.process.pid)
        return turn(trial, *given)  # type: ignore[arg-type]

    def noted(trial: Trial, *given: object) -> None:
        peaks.setdefault(trial.candidate.id, []).append(trial.worker.usage().peak_rss_bytes)
        renew(trial, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Trial, "turn", watched)
    monkeypatch.setattr(Trial, "renew", noted)
    monkeypatch.setattr(lives, "MOST_SHARE", 1000.0)  # at once
    long = replace(QUICK, time_budget_s=8)
    bench([text_onnx, text_int8], data=text_data, options=long, results_path=tmp_path / "b.jsonl")
    (run,) = read_results(tmp_path / "b.jsonl")
    for known in run.measurements:
        assert len(processes[known.candidate.id]) > 2
        assert len(known.turns) >= 10
        assert [turn.round for turn in known.turns] == list(range(len(known.turns)))
        assert sorted(set(known.processes.values())) == list(range(known.turns[-1].process + 1))
        assert known.turns[-1].process >= 2
        assert known.peak_rss_bytes is not None
        assert known.peak_rss_bytes >= max(peaks[known.candidate.id])
    assert not any(psutil.pid_exists(one) for known in processes.values() for one in known)


def test_an_interrupt_waits_for_nothing_that_is_being_opened(text_onnx: Artifact) -> None:
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(text_onnx, 1, "cpu", module="tests.bench.never_opens")) for _ in range(9)]
        trials = {str(n): Opening(None, worker, None) for n, worker in enumerate(workers)}  # type: ignore[arg-type]
        kept = Lives(trials, None, 60.0)  # type: ignore[arg-type]
        threading.Thread(target=interrupt_once_opening, args=[workers], daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            kept.renew()
        assert all(worker.process is None or worker.process.poll() is not None for worker in workers)
        assert sum(worker.process is not None for worker in workers) <= available_cores(), "and begins nothing more"


class Opening(Counted):
    """A candidate that is only opened."""

    def renew(self, timed: Timed) -> None:
        self.worker.open()


def interrupt_once_opening(workers: Sequence[Worker]) -> None:
    while not any(worker.process for worker in workers):
        time.sleep(0.01)
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def test_one_that_could_not_be_opened_beside_the_others_is_opened_once_more(
    text_onnx: Artifact,
    text_int8: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lives, "MOST_SHARE", 1000.0)
    monkeypatch.setenv("OPENED", str(tmp_path / "opened"))
    modules = {text_int8.manifest.id: "tests.bench.opens_every_other_time"}
    path, options = tmp_path / "b.jsonl", replace(QUICK, time_budget_s=8)
    bench([text_onnx, text_int8], options=options, modules=modules, results_path=path)
    assert "not this time; it is opened once more, alone" in capsys.readouterr().err
    (run,) = read_results(path)
    again = next(known for known in run.measurements if known.candidate.id == text_int8.manifest.id)
    assert again.failure is None
    assert sorted(set(again.processes.values())) == list(range(again.turns[-1].process + 1))
    assert again.turns[-1].process >= 1


def test_one_that_cannot_be_opened_again_is_a_row_with_its_reason(
    text_onnx: Artifact, text_int8: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lives, "MOST_SHARE", 1000.0)
    monkeypatch.setenv("OPENS_ONCE", str(tmp_path / "opened"))
    modules = {text_int8.manifest.id: "tests.bench.opens_once"}
    board = bench([text_onnx, text_int8], options=replace(QUICK, time_budget_s=4), modules=modules)
    failed = board.standings[-1]
    assert failed.candidate.id == text_int8.manifest.id
    assert failed.verdict == "failed"
    assert "once was enough" in failed.reason
    assert board.winner is not None
    assert board.winner.id == text_onnx.manifest.id
