"""The results file: what is written is read back, whatever a killed run left in it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench.results import FILE_NAME, append, check
from bench.winner import latest_winner
from ftc.artifact import Artifact
from ftc.errors import InputError, RunError
from ftc.measurement import Run
from ftc.records import AccuracyTaken, Closed, Ended, Opened, RunBegun, TurnTaken, read_results
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


def test_an_interrupted_run_keeps_what_it_found(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(run(measurement("torch", 8000, 0.9), measurement("int8", 4000, None)), path, finished=False)
    (found,) = read_results(path)
    assert not found.is_complete
    assert found.measurements[0].accuracy is not None
    assert [len(known.turns) for known in found.measurements] == [1, 1]


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


def test_a_newer_format_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(run(measurement("torch", 8000)), path)
    newer = json.loads(path.read_text().splitlines()[0]) | {"schema": 99}
    path.write_text(path.read_text() + json.dumps(newer) + "\n")
    with pytest.raises(InputError, match=r"line \d+: .*schema"):
        read_results(path)


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


def test_no_winner_is_said(tmp_path: Path) -> None:
    write(run(measurement("int8", 2000)), tmp_path / FILE_NAME)
    with pytest.raises(InputError, match="has no winner"):
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
