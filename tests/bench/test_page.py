"""The report before any browser sees it: what stands together, what is said, and that it is text whatever it holds."""

from __future__ import annotations

import csv
import io
import shlex
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.leaderboard import rank
from bench.page.axis import linear, positive
from bench.page.groups import Found, gather
from bench.page.headline import headline
from bench.page.marks import mark
from bench.page.reproduce import command
from bench.page.scatter import scatter
from bench.page.told import page
from bench.page.write import Form, check, find, report, write
from ftc.cli.bench import bench as bench_command
from ftc.errors import InputError, RunError
from ftc.manifest import DataRecord
from ftc.measurement import Arrivals, Cell, Choice, Measurement, Run, Turn
from tests.bench import test_results
from tests.bench.made import CONDITIONS, measurement, run
from tests.bench.pages import HOSTILE, measured, renamed, usual


def found(*runs: Run, source: str = "bench.jsonl") -> tuple[Found, ...]:
    return tuple(Found(source, one) for one in runs)


def test_runs_under_unlike_conditions_do_not_stand_together() -> None:
    first = usual(started="2026-01-01T00:00:00+00:00")
    other = replace(first, id="b", started="2026-01-02T00:00:00+00:00", conditions=replace(CONDITIONS, threads=1))
    shown = page(found(first, other), Path("/"))
    assert [[one.started for one in group.runs] for group in shown.groups] == [[other.started], [first.started]]
    assert shown.groups[0].differs == ()
    assert shown.groups[1].differs == ("threads: 2 then, 1 now",)


def test_runs_of_a_section_say_which_versions_are_others() -> None:
    first = usual(started="2026-01-02T00:00:00+00:00")
    machine = replace(CONDITIONS.machine, versions={"numpy": "3"})
    other = replace(first, id="b", started="2026-01-01T00:00:00+00:00", conditions=replace(CONDITIONS, machine=machine))
    (group,) = page((*found(first), *found(other, source="other.jsonl")), Path("/")).groups
    told = [[remark for remark in one.remarks if "other versions" in remark] for one in group.runs]
    assert told == [[], [f"other versions than in the run of {first.started}: numpy 2 -> 3"]]


def test_of_a_file_the_last_whole_run_is_shown_and_the_others_are_named() -> None:
    runs = [usual(id=str(n), started=f"2026-01-0{n}T00:00:00+00:00") for n in (1, 2, 3)]
    runs[2] = replace(runs[2], ended=False)
    (group,) = gather(found(*runs))
    assert [one.run.id for one in group.shown] == ["2"]
    assert [one.run.id for one in group.others] == ["3", "1"]
    (told,) = page(found(*runs), Path("/")).groups
    assert [(other.state, other.outcome.split(":")[0]) for other in told.others] == [
        ("interrupted", "no winner is named"),
        ("complete", "int8"),
    ]


def test_each_file_keeps_a_ranking_of_its_own() -> None:
    (group,) = page((Found("old.jsonl", usual(id="1")), Found("new.jsonl", usual(id="2"))), Path("/")).groups
    assert {one.source for one in group.runs} == {"old.jsonl", "new.jsonl"}
    assert len({one.id for one in group.runs}) == 2


def test_the_headline_says_who_and_why() -> None:
    made = usual()
    told = headline(made, rank(made), made.measurements[1].candidate)
    assert told.subject == "int8"
    assert told.sentence == f"{rank(made).reason}."
    values = {figure.label: (figure.value, figure.note) for figure in told.figures}
    assert values["Accuracy"][0] == "94.00 %"
    assert values["Size"] == ("10.0 MB", "11 % of onnx")
    assert values["Speed"][1].startswith("of onnx; 95 % ")


def test_candidates_of_one_name_are_not_taken_for_each_other() -> None:
    made = renamed(usual(), "int8", "onnx")
    told = headline(made, rank(made), made.measurements[1].candidate)
    values = {figure.label: (figure.value, figure.note) for figure in told.figures}
    assert values["Size"] == ("10.0 MB", "11 % of onnx")
    assert "Speed" in values
    plot = scatter(rank(renamed(made, "broken", "onnx")))
    assert plot is not None
    assert plot.left_out == ("onnx",)


def test_offline_the_headline_tells_rows_in_a_second_and_not_times_of_unlike_batches() -> None:
    def in_batches(known: Measurement, batch_size: int) -> Measurement:
        assert known.opening is not None
        turns = tuple(Turn(turn.round, turn.calls_ns[:1]) for turn in known.turns)
        return replace(known, opening=replace(known.opening, batch_size=batch_size), turns=turns)

    torch, onnx = (
        in_batches(measurement(name, batch_ns, jitter=0), size)
        for name, batch_ns, size in (("torch", 8_000_000, 2), ("onnx", 16_000_000, 16))
    )
    conditions = replace(CONDITIONS, cells=(Cell(None),), scenario="Offline")
    made = replace(run(torch, onnx), conditions=conditions)
    told = headline(made, rank(made), torch.candidate)
    figures = {figure.label: (figure.value, figure.note) for figure in told.figures}
    assert figures["Throughput"] == ("1000 rows/s", "each in its own best batch; 250 before")
    assert "Latency" not in figures
    for form in ("html", "markdown"):
        assert "Times are of whole batches, of each candidate's own best size" in unescape(report(found(made), form))
        assert "Times are of whole batches" not in report(found(usual()), form)


def test_drops_stand_beside_what_the_exact_test_says_of_them() -> None:
    document = report(found(usual()), "markdown")
    for p_value in ("p = 1.000", "p \\< 0.001"):  # of one row in a hundred, and of twenty-five
        assert p_value in document
    assert "p is McNemar's exact test that neither answers better." in document
    unlabelled = run(measurement("torch", 8000, None), measurement("onnx", 4000, None))
    assert "McNemar" not in report(found(unlabelled), "markdown")


def test_an_interrupted_run_names_no_winner() -> None:
    made = usual(ended=False)
    told = headline(made, rank(made), made.measurements[1].candidate)
    assert told.subject is None
    assert told.sentence == "Interrupted after 12 rounds, so no winner is named. By then int8 was ahead."
    for form in ("html", "markdown"):
        document = report(found(made), form)
        assert "winner:" not in document
        assert "ahead" in document
        assert '<tr class="won"' not in document
    (row, *_) = csv.DictReader(io.StringIO(report(found(made), "csv")))
    assert (row["complete"], row["verdict"]) == ("False", "ahead")


def test_a_run_whose_self_check_failed_names_no_winner() -> None:
    made = usual()
    slower = measured("onnx", 5_000_000, 5)
    again = replace(slower, candidate=replace(slower.candidate, id="again", name="onnx-again", twin_of="id-of-onnx"))
    made = replace(made, measurements=(*made.measurements, again))
    told = headline(made, rank(made), made.measurements[1].candidate)
    assert told.subject is None
    assert told.sentence.startswith("No winner: the self-check failed: no ratio of this run is to be believed")
    assert '<tr class="won"' not in report(found(made), "html")


def test_the_front_leaves_out_what_is_slower_and_no_better() -> None:
    made = usual()
    twin = replace(made.measurements[1].candidate, id="again", name="onnx-again", twin_of="id-of-onnx")
    again = replace(made.measurements[1], candidate=twin)
    plot = scatter(rank(replace(made, measurements=(*made.measurements, again))))
    assert plot is not None
    assert "None is both faster and better than: wrong, int8, lite." in plot.described
    assert plot.left_out == ("broken",), "and not what checks another, whose times and accuracy are known"
    by_place = {point.place: point for point in plot.canvases[0].points}
    assert by_place[1].is_winner
    assert by_place[1].x_low < by_place[1].x < by_place[1].x_high
    assert by_place[1].y_high < by_place[1].y < by_place[1].y_low, "pixels grow downwards"


@given(st.sampled_from(["torch", "onnxruntime", "litert", "openvino", "keras", "another"]), st.floats(2, 20))
def test_marks_have_the_same_area_whatever_their_shape(runtime: str, radius: float) -> None:
    path = mark(runtime, radius).path
    if "a" in path:
        assert path.startswith(f"M-{radius:.2f} 0a")
        return
    numbers = [float(word) for word in path.strip("MZ").split()]
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    pairs = zip(corners, corners[1:] + corners[:1], strict=True)
    area = abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2
    assert area == pytest.approx(3.14159265 * radius**2, rel=0.02)


POSITIVE = st.floats(1e-4, 1e6)


@given(st.lists(POSITIVE, min_size=1, max_size=9))
def test_axes_hold_all_values_in_order_and_name_a_few(values: list[float]) -> None:
    for axis in (positive(values), linear(values, 1.0)):
        places = [axis.at(value) for value in sorted(values)]
        assert places == sorted(places)
        assert 0 < places[0] <= places[-1] < 1
        ticks = axis.ticks(8)
        assert 1 <= len(ticks) <= 9
        assert all(0 <= tick.at <= 1 for tick in ticks)
        assert [tick.at for tick in ticks] == sorted({tick.at for tick in ticks})
        assert len({tick.text for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, "--precision 2% --time-budget 60s"),
        ({"cells": (Cell(), Cell(16), Cell(4), Cell(32))}, "--batch-size 16 --batch-sizes 4,32"),
        ({"cells": (Cell(), Cell(8), Cell(1, 32), Cell(1, 64))}, "--batch-sizes 1 --lengths 32,64"),
        ({"cells": (Cell(), Cell(1, 64))}, "--batch-size 1 --batch-sizes 1 --lengths 64"),
        ({"device": "cuda"}, "--device cuda"),
        ({"cells": (Cell(None),), "scenario": "Offline"}, "--scenario offline"),
        (
            {"cells": (Cell(),), "scenario": "Server", "arrivals": Arrivals(50.0, 20.0)},
            "--scenario server --rate 50 --latency-bound 20",
        ),
    ],
)
def test_the_command_measures_the_same_again(changes: dict[str, object], options: str) -> None:
    made = usual(conditions=replace(CONDITIONS, **changes))
    words = shlex.split(command(made, Path("/nowhere")).replace("\\\n", ""))
    assert words[:3] == ["ftc", "bench", "torch"]
    assert options in " ".join(words)
    with bench_command.make_context("bench", words[2:]) as context:
        assert context.params["threads"] == CONDITIONS.threads
        assert context.params["paths"][1] == Path("onnx")
        assert context.params["limit"] is None


def test_rows_that_a_search_set_apart_cannot_be_drawn_again() -> None:
    part = replace(CONDITIONS, data=DataRecord("rows.tsv", "f00d:sample=100,seed=1", 100))
    assert "--limit 100" in command(usual(conditions=part), Path("/nowhere"))
    searched = usual(conditions=part, choice=Choice("id-of-int8", "won", {}))
    assert "--limit" not in command(searched, Path("/nowhere"))
    assert "this command takes all, among them rows that tuned" in report(found(searched), "markdown")
    assert "rows that tuned" not in report(found(usual()), "markdown")


def test_labels_that_agree_are_a_column() -> None:
    assert "same label" in report(found(usual()), "markdown")


def test_a_file_that_was_measured_in_several_variants_is_named_once() -> None:
    onnx = measurement("onnx", 1000)
    half = replace(onnx, candidate=replace(onnx.candidate, id="onnx-fp16", name="onnx fp16", variant="fp16"))
    assert command(run(measurement("torch", 1000), onnx, half), Path("/nowhere")).count("onnx") == 1


def test_a_path_with_a_blank_is_quoted() -> None:
    made = run(replace(measurement("torch", 1000), candidate=replace(measurement("torch", 1).candidate, path="/a b/c")))
    assert "'/a b/c'" in command(made, Path("/nowhere"))


def test_html_holds_hostile_names_as_text_only() -> None:
    made = renamed(usual(), "int8", HOSTILE)
    document = report(found(made, source=HOSTILE), "html")
    assert "<script>window" not in document
    assert "<img" not in document
    assert "&lt;/title&gt;&lt;script&gt;window.hacked=1" in document
    assert "{{ 7 * 7 }}" in document


def test_markdown_holds_hostile_names_as_text_only() -> None:
    document = report(found(renamed(usual(), "int8", HOSTILE + "\n\n# not a title [a](http://b.c)")), "markdown")
    assert "<script" not in document.replace("\\<script", "")
    assert "\n# not" not in document
    assert r"\[a\](http\://b.c)" in document
    lines = [line for line in document.splitlines() if line.startswith("| ")]
    table = lines[: next(n for n, line in enumerate(lines) if not line.startswith(("| 1", "| #")) and n > 1)]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1


@pytest.mark.parametrize("form", ["html", "markdown", "csv"])
def test_what_a_terminal_would_obey_is_in_no_report(form: Form) -> None:
    made = usual()
    obeyed = replace(made.measurements[-1], failure="\x1b]0;title\x07 died \x00\x9b31m \u202etxt.exe")
    document = report(found(replace(made, measurements=(*made.measurements[:-1], obeyed))), form)
    assert "died" in document
    assert not {"\x1b", "\x07", "\x00", "\x9b", "\u202e"} & set(document)


def test_csv_is_read_back_and_runs_nothing() -> None:
    rows = list(csv.DictReader(io.StringIO(report(found(renamed(usual(), "int8", "=cmd|'/C calc'!A0")), "csv"))))
    assert [row["candidate"] for row in rows][:2] == ["'=cmd|'/C calc'!A0", "lite"]
    assert float(rows[0]["score"]) == pytest.approx(0.94)
    assert float(rows[0]["speed_low"]) < float(rows[0]["speed"]) < float(rows[0]["speed_high"])
    assert (rows[-1]["verdict"], rows[-1]["p50_ns"]) == ("failed", "")


def test_a_report_without_labels_says_why_there_is_no_plot() -> None:
    made = run(measurement("torch", 8000, None), measurement("onnx", 4000, None))
    document = report(found(made), "html")
    assert "No accuracy is known beside a time" in document
    assert "Latency distributions" in document


def test_results_of_earlier_versions_have_no_lineage() -> None:
    assert "Not recorded" in report(found(run(measurement("torch", 8000), measurement("onnx", 4000))), "html")
    assert "exclude=[&#34;a&#34;, &#34;b&#34;]" in report(found(usual()), "html")


def test_files_are_found_and_the_latest_conditions_alone_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    old = replace(usual(id="a0"), started="2025-01-01T00:00:00+00:00", conditions=replace(CONDITIONS, threads=1))
    test_results.write(old, path)
    test_results.write(usual(id="a1"), path)
    assert [one.run.id for one in find([path, path])] == ["a0", "a1"]
    assert [one.run.id for one in find([path], only_latest=True)] == ["a1"]
    (tmp_path / "empty.jsonl").touch()
    for name in ("empty.jsonl", "absent.jsonl"):
        with pytest.raises(InputError, match="ftc bench --data FILE"):
            find([tmp_path / name])


def test_only_a_report_is_replaced(tmp_path: Path) -> None:
    documents = {form: report(found(usual()), form) for form in ("html", "markdown", "csv")}
    for form, document in documents.items():
        write(document, tmp_path / form)
        write(document + "\n", tmp_path / form)
        assert (tmp_path / form).read_text() == document + "\n"
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    (tmp_path / "folder").mkdir()
    for name in ("mine.html", "folder"):
        with pytest.raises(InputError, match="not replaced"):
            check(tmp_path / name)


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        write(report(found(usual()), "csv"), tmp_path / "file" / "report.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_one_candidate_is_enough() -> None:
    for form in ("html", "markdown", "csv"):
        assert "torch" in report(found(run(measured("torch", 9_000_000, 5))), form)


def test_nothing_timed_is_shown_as_such() -> None:
    made = run(measurement("torch", None), measurement("onnx", None))
    document = report(found(replace(made, ended=False)), "html")
    assert "Interrupted after 0 rounds" in document
    assert "the run was interrupted before it was timed" in document
    assert "the checkpoint, torch, was not timed before the run was interrupted: no drop is known" in document
    assert "the float ONNX export, onnx, was not timed before the run was interrupted" in document
    assert "None" not in document.split("<script")[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cells": (Cell(None),), "scenario": "Offline"}, "time of a row in the best batch, ms"),
        (
            {"cells": (Cell(),), "scenario": "Server", "arrivals": Arrivals(50.0, 20.0)},
            "median latency, waiting included, ms",
        ),
        ({"data": None, "form": None}, "median latency, ms"),
    ],
)
def test_every_scenario_has_its_page(changes: dict[str, object], said: str) -> None:
    made = usual(conditions=replace(CONDITIONS, **changes))
    assert said in report(found(made), "html")
    assert "int8" in report(found(made), "markdown")
