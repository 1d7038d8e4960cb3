"""`ftc report` as a user types it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from bench.results import FILE_NAME
from tests.bench import test_results
from tests.bench.pages import usual
from tests.cli.typed import ftc, refused


def results(place: Path) -> Path:
    path = place / "artifacts" / FILE_NAME
    test_results.write(usual(), path)
    return path


def test_without_arguments_it_tells_of_the_latest_run_here(tmp_path: Path) -> None:
    results(tmp_path)
    made = ftc("report", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("report.html  ")
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "int8" in page
    assert ftc("report", cwd=tmp_path).returncode == 0, "a report of ours is replaced"


def test_what_was_measured_on_a_gpu_alone_is_found(tmp_path: Path) -> None:
    path = results(tmp_path)
    path.rename(path.with_name("bench-cuda.jsonl"))
    assert ftc("report", cwd=tmp_path).returncode == 0


def test_the_form_follows_the_name_or_the_option(tmp_path: Path) -> None:
    path = results(tmp_path)
    assert ftc("report", path, "-o", "told.md", cwd=tmp_path).stdout.startswith("told.md  ")
    assert (tmp_path / "told.md").read_text().startswith("<!-- ftc report -->\n# torch: benchmark report\n")
    assert ftc("report", path, "--format", "csv", cwd=tmp_path).stdout.startswith("report.csv  ")
    piped = ftc("report", path, "--format", "csv", "-o", "-", cwd=tmp_path).stdout
    assert piped == (tmp_path / "report.csv").read_text()
    first = next(csv.DictReader(io.StringIO(piped)))
    assert (first["candidate"], first["device"], first["threads"], first["rows"]) == ("int8", "cpu", "2", "100")
    assert float(first["encode_p50_ns"]) > 0
    assert {"mcnemar_p", "batch_size", "cpu", "scenario"} <= first.keys()
    refused(ftc("report", path, "-o", "told.md", "--format", "csv", cwd=tmp_path), "told.md", "--format")
    refused(ftc("report", path, "-o", "told.txt", cwd=tmp_path), "told.txt", ".html, .md or .csv, or give --format")


def test_what_cannot_be_reported_is_said(tmp_path: Path) -> None:
    refused(ftc("report", cwd=tmp_path), "artifacts/bench.jsonl", "ftc bench --data FILE")
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    refused(ftc("report", "other.jsonl", cwd=tmp_path), "other.jsonl, line 1")
    results(tmp_path)
    (tmp_path / "report.html").write_text("<p>mine</p>")
    refused(ftc("report", cwd=tmp_path), "report.html", "not replaced", "-o")
    assert (tmp_path / "report.html").read_text() == "<p>mine</p>"
