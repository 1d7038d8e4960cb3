"""The results file: what is written is read back, whatever a killed run left in it."""

from __future__ import annotations

import errno
import json
import math
import multiprocessing
import resource
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bench.results import FILE_NAME, append, check, held
from bench.winner import latest_winner, measured
from ftc.artifact import Artifact
from ftc.errors import InputError, RunError
from ftc.measurement import Run
from ftc.records import AccuracyTaken, Chosen, Closed, Ended, Opened, RunBegun, TurnTaken
from ftc.results_file import read_results
from tests.bench.made import measurement, run


def write(made: Run, path: Path, *, finished: bool = True) -> None:
    """Write a run as it would have been; an unfinished one ends after the accuracies and one turn."""
    candidates = tuple(m.candidate for m in made.measurements)
    start = RunBegun(made.id, made.started, made.root_id, made.main_metric, 1.0, made.conditions, candidates)
    append(start, path)
    for m in made.measurements:
        if m.opening is not None:
            append(Opened(made.id, m.candidate.id, m.opening), path)
        if m.accuracy is not None:
            append(AccuracyTaken(made.id, m.candidate.id, m.accuracy), path)
    for m in made.measurements:
        for turn in m.turns if finished else m.turns[:1]:
            append(TurnTaken(made.id, m.candidate.id, turn), path)
        if finished:
            append(Closed(made.id, m.candidate.id, m.peak_rss_bytes, m.failure), path)
    if made.choice is not None:
        append(Chosen(made.id, made.choice), path)
    if finished:
        append(Ended(made.id), path)


def test_runs_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "new" / FILE_NAME
    first = run(measurement("torch", 8000), measurement("onnx", 4000), id="1")
    second = run(measurement("torch", 8000), measurement("int8", None, None, failure="damaged"), id="2")
    write(first, path)
    write(second, path)
    assert read_results(path) == (first, second)


def test_only_a_results_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    check(path)
    path.touch()
    check(path)
    write(run(measurement("torch", 8000)), path)
    check(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    check(path)  # a run was killed while it wrote its first line
    for other in (b"x\n", b"\n", b'{"run": "a", "text": "b"}\n', b"sentence\tlabel\n" + whole, b"\0" * 100):
        path.write_bytes(other)
        with pytest.raises(InputError, match="no results file"):
            check(path)
    with pytest.raises(InputError, match="no results file"):
        check(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="no results file"):
        check(tmp_path / "link")


def test_of_a_service_there_is_no_report_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "service.jsonl"
    path.write_text('{"kind": "service", "schema": 2, "about": {}}\n')
    with pytest.raises(InputError, match=r"holds what ftc bench --service measured, which has no report"):
        read_results(path)


def test_an_interrupted_run_keeps_what_it_found(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(run(measurement("torch", 8000, 0.9), measurement("int8", 4000, None)), path, finished=False)
    (found,) = read_results(path)
    assert not found.is_complete
    assert found.measurements[0].accuracy is not None
    assert [len(known.turns) for known in found.measurements] == [1, 1]


def test_candidates_of_one_name_have_their_ids_beside_it(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    first, second = measurement("int8", 2000), measurement("int8", 4000)
    second = replace(second, candidate=replace(second.candidate, id="another"))
    write(run(measurement("torch", 8000), first, second), path)
    (found,) = read_results(path)
    names = [known.candidate.name for known in found.measurements]
    assert names == ["torch", "int8 (id-of-int8)", "int8 (another)"]
    assert [known.turns[0].calls_ns[1] for known in found.measurements] == [(32000,), (8000,), (16000,)]


def test_half_a_line_is_skipped_aloud_and_does_not_swallow_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / FILE_NAME
    made = run(measurement("torch", 8000), measurement("onnx", 4000), id="1")
    write(made, path)
    whole = path.read_bytes()
    for cut in (1, 40, len(whole.splitlines()[-1])):
        path.write_bytes(whole[:-cut])
        runs = read_results(path)
        assert [found.id for found in runs] == ["1"]
    path.write_bytes(whole + whole[:50])
    write(replace(made, id="2"), path)
    assert [found.id for found in read_results(path)] == ["1", "2"]
    assert "unfinished" in capsys.readouterr().err


def test_a_newer_format_is_refused_with_its_line_and_nothing_is_measured_into_it(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(run(measurement("torch", 8000)), path)
    newer = json.loads(path.read_text().splitlines()[0]) | {"schema": 99}
    path.write_text(path.read_text() + json.dumps(newer) + "\n")
    for reader in (read_results, check):
        with pytest.raises(InputError, match=r"line \d+: .*schema.*Move the file aside"):
            reader(path)


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        write(run(measurement("torch", 8000)), tmp_path / "file" / FILE_NAME)


def with_id(made: Run, name: str, artifact: Artifact) -> Run:
    """The run with one candidate's place taken by a real artifact."""
    return replace(
        made,
        measurements=tuple(
            replace(m, candidate=replace(m.candidate, id=artifact.manifest.id, path=str(artifact.path)))
            if m.candidate.name == name
            else m
            for m in made.measurements
        ),
    )


def test_the_latest_winner_is_opened_and_interrupted_runs_do_not_count(
    tmp_path: Path, text_onnx: Artifact, text_int8: Artifact
) -> None:
    path = tmp_path / FILE_NAME
    both = run(measurement("torch", 8000), measurement("onnx", 4000), measurement("int8", 2000), id="1")
    write(with_id(both, "int8", text_int8), path)
    assert latest_winner(tmp_path).manifest.id == text_int8.manifest.id
    later = run(measurement("torch", 8000), measurement("onnx", 4000), measurement("int8", 5000), id="2")
    write(with_id(later, "onnx", text_onnx), path)
    assert latest_winner(tmp_path).manifest.id == text_onnx.manifest.id
    write(replace(later, id="3"), path, finished=False)
    assert latest_winner(tmp_path).manifest.id == text_onnx.manifest.id
    told = measured(text_onnx, tmp_path)
    assert told is not None
    assert (told["verdict"], told["p50_ns"]) == ("winner", pytest.approx(4000, rel=0.1))
    broken = run(measurement("torch", 8000), measurement("onnx", None, failure="no memory"), id="4")
    write(with_id(broken, "onnx", text_onnx), path)
    assert measured(text_onnx, tmp_path) == told, "of a run in which it failed there is nothing to tell"


def test_a_winner_that_is_gone_or_changed_is_refused(tmp_path: Path, text_onnx: Artifact) -> None:
    with pytest.raises(InputError, match="no measurements"):
        latest_winner(tmp_path)
    path = tmp_path / FILE_NAME
    made = run(measurement("torch", 8000), measurement("onnx", 4000), id="1")
    write(made, path)
    with pytest.raises(InputError, match="no longer at"):
        latest_winner(tmp_path)
    moved = with_id(made, "onnx", text_onnx)
    other = replace(moved.measurements[1].candidate, id="0" * 16)
    write(
        replace(moved, id="2", measurements=(made.measurements[0], replace(made.measurements[1], candidate=other))),
        path,
    )
    with pytest.raises(InputError, match="content that was measured"):
        latest_winner(tmp_path)


def test_a_file_made_anew_by_the_same_recipe_has_neither_won_nor_been_measured(
    tmp_path: Path, text_onnx: Artifact
) -> None:
    made = with_id(run(measurement("torch", 8000), measurement("onnx", 4000)), "onnx", text_onnx)
    content = next(one.sha256 for one in text_onnx.manifest.files if one.path == text_onnx.manifest.run.entry)
    for number, (sha256, is_known) in enumerate(((None, True), (content, True), ("0" * 64, False))):
        onnx = made.measurements[1]
        onnx = replace(onnx, candidate=replace(onnx.candidate, sha256=sha256))
        place = tmp_path / str(number)
        write(replace(made, measurements=(made.measurements[0], onnx)), place / FILE_NAME)
        assert (measured(text_onnx, place) is not None) == is_known
        if is_known:
            assert latest_winner(place).manifest.id == text_onnx.manifest.id
        else:
            with pytest.raises(InputError, match="content that was measured"):
                latest_winner(place)


def test_no_winner_is_said(tmp_path: Path) -> None:
    write(run(measurement("int8", 2000)), tmp_path / FILE_NAME)
    with pytest.raises(InputError, match="has no winner"):
        latest_winner(tmp_path)


def test_nothing_is_shipped_of_a_run_whose_self_check_failed(tmp_path: Path, text_onnx: Artifact) -> None:
    made = with_id(run(measurement("torch", 8000), measurement("onnx", 4000)), "onnx", text_onnx)
    onnx, slower = made.measurements[1], measurement("onnx", 5000)
    again = replace(slower, candidate=replace(onnx.candidate, id="again", name="again", twin_of=onnx.candidate.id))
    write(replace(made, measurements=(*made.measurements, again)), tmp_path / FILE_NAME)
    with pytest.raises(InputError, match=r"the self-check failed: .*quieter machine.*ftc package ARTIFACT"):
        latest_winner(tmp_path)


def test_results_of_the_first_schema_are_read(tmp_path: Path) -> None:
    made = run(measurement("torch", 8000), measurement("int8", None, None, failure="damaged"))
    path = tmp_path / FILE_NAME
    write(made, path)
    lines = [json.loads(line) | {"schema": 1} for line in path.read_text().splitlines()]
    start = next(line for line in lines if line["kind"] == "run")
    start["conditions"] |= {"batch_size": 8}
    del start["conditions"]["cells"]
    old = [start, *(line for line in lines if line["kind"] == "accuracy")]
    for known in made.measurements:
        samples = {
            "single_ns": [turn.calls_ns[0] for turn in known.turns],
            "batch_ns": [turn.calls_ns[1] for turn in known.turns],
            "encode_ns": [1000] * 8,
            "peak_rss_bytes": 10**8,
        }
        told = {"candidate": asdict(known.candidate), "samples": samples if known.turns else None}
        told |= {"opening": {"load_ns": 10**9, "first_call_ns": 10**7, "session": {}}, "failure": known.failure}
        told["accuracy"] = asdict(known.accuracy) if known.accuracy is not None else None
        old.append({"run": made.id, "measurement": told, "kind": "measurement", "schema": 1})
    path.write_text("".join(json.dumps(line) + "\n" for line in old))
    (found,) = read_results(path)
    assert found.is_complete
    assert found.conditions == made.conditions
    assert found.measurements[0].turns == made.measurements[0].turns
    assert found.measurements[1].failure == "damaged"


def of(kind: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    return next(line for line in lines if line["kind"] == kind)


SENSELESS: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "greater than or equal to 1": lambda lines: of("turn", lines)["turn"].update(calls_ns=[[0] * 8, [1]]),
    "less than": lambda lines: of("turn", lines)["turn"].update(calls_ns=[[2**70] * 8, [1]]),
    "at least 1 item": lambda lines: of("turn", lines)["turn"].update(calls_ns=[[], [1]]),
    "the times of 1 cells where 2 are timed": lambda lines: of("turn", lines)["turn"].update(calls_ns=[[5] * 8]),
    "times of different calls": lambda lines: of("turn", lines)["turn"].update(calls_ns=[[5] * 7, [1]]),
    "2 answers to 100 rows": lambda lines: of("accuracy", lines)["accuracy"].update(predictions=[0, 1]),
    "metrics": lambda lines: of("accuracy", lines)["accuracy"].update(metrics={"accuracy": math.nan}),
    "cells": lambda lines: of("run", lines)["conditions"].update(cells=[]),
    "seed": lambda lines: of("run", lines)["conditions"].update(seed=-1),
    "size_bytes": lambda lines: of("run", lines)["candidates"][0].update(size_bytes=-1),
    "_has_no_controls": lambda lines: of("run", lines)["candidates"][0].update(name="a\x1b[31m"),
    "the same id": lambda lines: [one.update(id="x") for one in of("run", lines)["candidates"]],
    "a candidate that is not there": lambda lines: of("run", lines)["candidates"][0].update(twin_of="x"),
    "3 rows have a right answer, 100": lambda lines: of("run", lines).update(targets=[0, 1, 0]),
    "candidates": lambda lines: of("run", lines).update(candidates=[]),
}


@pytest.mark.parametrize("says", SENSELESS)
def test_what_makes_no_sense_is_refused_with_its_line(says: str, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(run(measurement("torch", 8000), measurement("onnx", 4000)), path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    SENSELESS[says](lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match=rf"line \d+: .*{says}"):
        read_results(path)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"run": "a", "schema": 1, "kind": "measurement", "measurement": [1]}',
        "5",
        "{}",
        '{"run": "\\ud800"}',
    ],
)
def test_a_line_that_is_no_record_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(line + "\n")
    with pytest.raises(InputError, match="line 1: not a result"):
        read_results(tmp_path / FILE_NAME)


@pytest.mark.parametrize("content", [b"sentence\tlabel\nbad\t0\n", b"\x80\x02}q", b"\n# Results\n", b"[1"])
def test_a_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(InputError, match=r"bench\.jsonl is no results file"):
        read_results(tmp_path / FILE_NAME)


def test_many_unfinished_lines_are_told_in_one_caution(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FILE_NAME).write_text('{"run": \n' * 1000)
    assert read_results(tmp_path / FILE_NAME) == ()
    said = capsys.readouterr().err
    assert "lines 1, 2, 3 and 997 more: unfinished" in " ".join(said.split())
    assert said.count("caution") == 1


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    made = run(measurement("torch", 8000))
    write(made, path)
    whole = path.read_bytes()
    for name in ("a\nb", "a\ud800"):
        one = replace(made.measurements[0], candidate=replace(made.measurements[0].candidate, name=name))
        with pytest.raises(RunError, match=r"makes no sense|not valid Unicode"):
            write(replace(made, measurements=(one,)), path)
    assert path.read_bytes() == whole


def write_until_full(path: Path, most_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    with pytest.raises(RunError, match="cannot be written"):
        write(run(measurement("torch", 8000), id="2"), path)


def test_a_line_that_the_disk_took_in_part_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(run(measurement("torch", 8000), id="1"), path)
    whole = path.stat().st_size
    full = multiprocessing.get_context("fork").Process(target=write_until_full, args=(path, whole + 100))
    full.start()
    full.join()
    assert full.exitcode == 0
    assert path.stat().st_size == whole + 100
    write(run(measurement("torch", 8000), id="3"), path)
    assert [found.id for found in read_results(path)] == ["1", "3"]


def test_only_one_process_measures_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / FILE_NAME
    with held(path), pytest.raises(InputError, match="another ftc bench is measuring"), held(path):
        pass
    with held(path):
        write(run(measurement("torch", 8000)), path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"), held(tmp_path / "file" / FILE_NAME):
        pass


def test_a_file_system_without_locks_is_measured_into_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    path = tmp_path / FILE_NAME
    with held(path):
        write(run(measurement("torch", 8000)), path)
    assert "cannot be locked (No locks available)" in capsys.readouterr().err
    assert len(read_results(path)) == 1
