"""A results file that a killed run left is gone on with, and nothing else is ever written into."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.leaderboard import rank
from bench.results import held
from bench.run import Options, bench
from bench.trial import Trial
from ftc.artifact import Artifact
from ftc.data import Dataset
from ftc.errors import InputError, RunError
from ftc.measurement import Run
from ftc.results_file import read_results

QUICK = Options(threads=1, time_budget_s=0.3)


def test_a_killed_run_is_gone_on_with_and_loses_nothing_that_was_written(
    text_onnx: Artifact, text_int8: Artifact, text_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.jsonl"
    both = [text_onnx, text_int8]
    files = tuple(replace(one, sha256="0" * 64) for one in text_int8.manifest.files)
    anew = replace(text_int8, manifest=replace(text_int8.manifest, files=files))
    bench(both, data=text_data, options=QUICK, results_path=path)
    lines = path.read_bytes().splitlines(keepends=True)
    turns = [number for number, line in enumerate(lines) if b'"kind":"turn"' in line]
    begun = json.loads(lines[0])
    begun["conditions"]["machine"]["busy_cores"] = 99.0
    path.write_bytes(
        json.dumps(begun, separators=(",", ":")).encode() + b"\n" + b"".join(lines[1 : turns[6]]) + lines[turns[6]][:50]
    )
    (killed,) = read_results(path)
    assert not killed.is_complete
    with pytest.raises(InputError, match="seed: 0 then, 1 now"):
        bench(both, data=text_data, options=replace(QUICK, seed=1), results_path=path, resumed=True)
    with pytest.raises(InputError, match="candidates: "):
        bench(both[:1], data=text_data, options=QUICK, results_path=path, resumed=True)
    with pytest.raises(InputError, match=f"content of {text_int8.manifest.name}: it was made anew since"):
        bench([text_onnx, anew], data=text_data, options=QUICK, results_path=path, resumed=True)
    longer = replace(QUICK, precision=0.5, time_budget_s=0.4)
    board = bench(both, data=text_data, options=longer, results_path=path, resumed=True)
    (run,) = read_results(path)
    assert run.is_complete
    assert (run.precision, run.time_budget_s) == (0.5, 0.4), "what was asked for last"
    assert rank(run) == board
    assert "99.0 of" in next(found.text for found in run.cautions if found.kind == "busy host")
    assert "memory and power" in next(found.text for found in run.cautions if found.kind == "resumed")
    for before, now in zip(killed.measurements, run.measurements, strict=True):
        assert now.accuracy == before.accuracy
        assert now.turns[: len(before.turns)] == before.turns
        assert len(now.turns) >= len(before.turns) + 10
    assert "going on with the run of" in capsys.readouterr().err
    with pytest.raises(InputError, match="measured to its end"):
        bench(both, data=text_data, options=QUICK, results_path=path, resumed=True)
    with pytest.raises(InputError, match="nothing to go on with"):
        bench(both, data=text_data, options=QUICK, results_path=tmp_path / "none.jsonl", resumed=True)


def test_one_that_hung_is_tried_again_where_it_may_take_longer(
    text_onnx: Artifact, text_data: Dataset, tmp_path: Path
) -> None:
    path, hasty = tmp_path / "b.jsonl", replace(QUICK, time_limit_s=0.01)

    def interrupted() -> Run:
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(line for line in lines if b'"kind":"ended"' not in line))
        return read_results(path)[0]

    for resumed in (False, True):
        with pytest.raises(RunError, match="no candidate could be measured"):
            bench([text_onnx], data=text_data, options=hasty, results_path=path, resumed=resumed)
        (known,) = interrupted().measurements
        assert known.hung_after_s == 0.01
        assert known.opening is None
    assert path.read_bytes().count(b'"kind":"closed"') == 1, "with the same limit it is not tried again"
    board = bench([text_onnx], data=text_data, options=QUICK, results_path=path, resumed=True)
    assert board.standings[0].verdict == "winner"
    assert rank(read_results(path)[0]) == board


def test_a_run_that_is_still_going_is_not_gone_on_with(text_onnx: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    bench([text_onnx], options=QUICK, results_path=path)
    before = path.read_bytes()
    with held(path):
        for resumed in (False, True):
            with pytest.raises(InputError, match="another ftc bench is measuring"):
                bench([text_onnx], options=QUICK, results_path=path, resumed=resumed)
    assert path.read_bytes() == before


def test_an_offline_run_that_is_gone_on_with_keeps_its_batch_sizes(
    text_onnx: Artifact, text_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, options = tmp_path / "b.jsonl", replace(QUICK, scenario="Offline")
    bench([text_onnx], data=text_data, options=options, results_path=path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"kind":"ended"' not in line))
    (killed,) = read_results(path)
    known = killed.measurements[0].opening
    assert known is not None
    other = next(size for size in (1, 2, 4) if size != known.batch_size)
    monkeypatch.setattr(Trial, "_best_batch_size", lambda self, timed: other)
    board = bench([text_onnx], data=text_data, options=options, results_path=path, resumed=True)
    assert board.standings[0].batch_size == known.batch_size


def test_cores_that_may_not_be_used_any_more_are_another_condition(text_onnx: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    bench([text_onnx], options=QUICK, results_path=path)
    first, *lines = path.read_text().splitlines()
    begun = json.loads(first)
    begun["conditions"]["pinned_cores"] = [4095]
    path.write_text("\n".join([json.dumps(begun, separators=(",", ":")), *lines[:-1]]) + "\n")
    with pytest.raises(InputError, match="cores that candidates were held to: this process may not use 4095"):
        bench([text_onnx], options=QUICK, results_path=path, resumed=True)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not let a process choose its cores")
def test_a_run_in_which_other_cores_were_read_is_not_gone_on_with(
    text_onnx: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an earlier version did, of many: the file would hold turns that no reader takes."""
    path = tmp_path / "b.jsonl"
    bench([text_onnx], options=QUICK, results_path=path)
    interrupted = path.read_text().splitlines()[:-2]
    path.write_text("\n".join(interrupted) + "\n")
    monkeypatch.setattr("bench.yardstick.read_of", lambda cores: (*cores, 4095))
    with pytest.raises(InputError, match="version of ftc: it looked at other cores"):
        bench([text_onnx], options=QUICK, results_path=path, resumed=True)
    assert path.read_text().splitlines() == interrupted


def test_a_file_of_the_users_is_not_written_into(text_onnx: Artifact, text_data: Dataset, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "good", "label": 1}\n')
    for place in (rows, tmp_path):
        with pytest.raises(InputError, match="no results file"):
            bench([text_onnx], data=text_data, options=QUICK, results_path=place)
    assert rows.read_text() == '{"text": "good", "label": 1}\n'
    assert list(tmp_path.iterdir()) == [rows]
