"""The search from end to end, on a tiny checkpoint: what it builds, decides, and does again after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import ftc
from ftc.artifact import Artifact, open_artifact
from ftc.data import Columns
from ftc.errors import InputError
from ftc.results_file import read_results
from ftc.search import optimize as module
from ftc.search import pace, plan, store, timing
from ftc.search.journal import Decided, Ended, Journal, Judged
from ftc.search.links import Chain, key, link
from ftc.search.parts import Source
from ftc.search.request import Effort, Request
from ftc.search.workshop import Done, Order
from tests.search.here import Here
from tests.search.made import DYNAMIC


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements that take a fraction of a second, and one form beside the reference."""
    monkeypatch.setattr(timing, "_TIMING_S", 0.3)
    monkeypatch.setattr(pace, "timing_s", lambda _budget_s: 0.3)
    monkeypatch.setattr(plan, "post_training", lambda *_: ((plan.REFERENCE, DYNAMIC), ()))


def searched(
    text_root: Artifact, rows: tuple[Path, Path], place: Path, workshop: Here, **asked: object
) -> module.Result:
    request = Request(max_drop=0.2, threads=1, **asked)
    return module.optimize(text_root.path, rows[0], final=rows[1], request=request, artifacts=place, workshop=workshop)


@pytest.mark.usefixtures("brief")
def test_a_balanced_search_prunes_trains_and_measures(
    text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop = Here()
    result = searched(text_root, rows, tmp_path, workshop)
    keys = [row.key for row in result.rows]
    pruned = [name for name in workshop.worked if name.startswith("prune") and "|" not in name]
    assert pruned, "shapes were built that the table promises"
    assert all(any(name.startswith(f"{one} ") or name == one for name in keys) for one in pruned)
    journal = Journal(result.journal)
    chosen = next(entry for entry in journal.entries if isinstance(entry, Decided) and entry.stage == "training")
    if chosen.choice:
        assert any(name.startswith(f"{chosen.choice[0]} | distill") and "quantize" in name for name in workshop.worked)
    finished = [row for row in result.rows if "prune" in row.key and "quantize" in row.key]
    assert all(row.predicted is not None for row in finished), "the page shows predicted beside measured"
    assert open_artifact(result.winner) if result.is_better else result.winner.exists()
    assert (
        sum(row.fate.startswith("won") for row in result.rows) == (1 if result.is_better else 0) or not result.is_better
    )
    judged = [entry for entry in journal.entries if isinstance(entry, Judged)]
    assert all(entry.rows <= 40 for entry in judged), "on the rows set apart, a tenth of all"
    assert {standing.candidate.id for standing in result.board.standings} >= {text_root.manifest.id}
    assert result.board.conditions.data is not None
    assert result.board.conditions.data.rows == 60, "the final score is of the final rows"
    told = capsys.readouterr().err
    assert "best so far" in told
    assert "of 20:00" in told


@pytest.mark.usefixtures("brief")
def test_killed_anywhere_it_ends_with_the_same_winner_and_nothing_is_built_twice(
    text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path
) -> None:
    asked = {"effort": Effort.QUICK, "time_budget_s": 600.0}
    first = Here()
    whole = searched(text_root, rows, tmp_path, first, **asked)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    for known in (len(lines) // 2, len(lines) - 1):
        whole.journal.write_bytes(b"".join(lines[:known]) + lines[known][: len(lines[known]) // 2])
        again = Here()
        resumed = searched(text_root, rows, tmp_path, again, **asked)
        assert resumed.winner == whole.winner
        assert sorted(row.key for row in resumed.rows) == sorted(row.key for row in whole.rows)
        built = b"".join(lines[:known]).count(b'"kind":"built"')
        assert len(again.worked) == len(first.worked) - built
    third = Here()
    assert searched(text_root, rows, tmp_path, third, **asked).winner == whole.winner
    assert third.worked == [], "what was searched is only told again"


class Interrupted(Here):
    """Ctrl-C when the first network is to be pruned."""

    def do(self, orders: Sequence[Order]) -> Iterator[Done]:
        if any(order.key.startswith("prune") for order in orders):
            raise KeyboardInterrupt
        yield from super().do(orders)


@pytest.mark.usefixtures("brief")
def test_an_interrupt_ends_with_the_best_so_far(
    text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = searched(text_root, rows, tmp_path, Interrupted())
    assert "stopping: the best so far is measured" in capsys.readouterr().err
    assert {row.key for row in result.rows} == {key(plan.REFERENCE), key(DYNAMIC)}
    assert isinstance(Journal(result.journal).entries[-1], Ended)


@pytest.mark.usefixtures("brief")
def test_without_time_to_prune_no_latency_table_is_timed(
    text_root: Artifact,
    rows: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    workshop = Here()
    result = searched(text_root, rows, tmp_path, workshop, time_budget_s=30.0)
    assert workshop.worked == [key(plan.REFERENCE), key(DYNAMIC)]
    assert "no time left to try latency table" in capsys.readouterr().err
    assert {row.key: row.fate for row in result.rows}[store.TABLE] == "no time left to try it"


@pytest.mark.usefixtures("brief")
def test_if_nothing_qualifies_the_baseline_wins_and_the_reason_is_said(
    text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path
) -> None:
    def found() -> module.Result:
        return module.optimize(
            text_root.path,
            rows[0],
            final=rows[1],
            request=Request(max_size_bytes=10, effort=Effort.QUICK, time_budget_s=600.0, threads=1),
            artifacts=tmp_path,
            recipe=(DYNAMIC,),
            workshop=Here(),
        )

    result = found()
    assert not result.is_better
    assert "nothing else qualifies" in result.reason
    assert "more than --max-size" in result.reason
    assert open_artifact(result.winner).manifest.format == "onnx"
    assert open_artifact(result.winner).manifest.parity is not None
    open_artifact(result.winner).model_path.unlink()
    assert open_artifact(found().winner).model_path.is_file(), "what is damaged is built again"


@pytest.mark.usefixtures("brief")
def test_a_candidate_that_fails_and_one_that_is_there_already_are_rows_with_their_reasons(
    text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path
) -> None:
    wrong: Chain = (link("prune", layers=7), *DYNAMIC)
    twin: Chain = (link("export", to="onnx", graph="fused"),)
    result = module.optimize(
        text_root.path,
        rows[0],
        final=rows[1],
        request=Request(max_drop=0.2, time_budget_s=600.0, threads=1),
        artifacts=tmp_path,
        recipe=(wrong, DYNAMIC, twin),
        workshop=Here(),
    )
    failed = next(row for row in result.rows if row.key == key(wrong[:1]))
    assert "failed: --layers 7" in failed.fate
    assert any(row.key == key(DYNAMIC) and row.measured for row in result.rows)
    assert next(row.fate for row in result.rows if row.key == key(twin)) == f"the same as {key(plan.REFERENCE)}"
    (kept,) = read_results(tmp_path / "bench.jsonl")
    assert len(kept.measurements) == 3, "the checkpoint, its float export and what was quantized"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "short"}, "needs at least 100"),
        ({"final": "data"}, "must come from rows that tuned nothing"),
        ({"checkpoint": "artifact"}, "is made by ftc already"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_built(
    text_root: Artifact,
    text_int8: Artifact,
    text_data: object,
    rows: tuple[Path, Path],
    tmp_path: Path,
    change: dict[str, str],
    said: str,
) -> None:
    checkpoint = text_int8.path if change.get("checkpoint") else text_root.path
    data = rows[1] if change.get("data") else rows[0]
    final = rows[0] if change.get("final") or change.get("data") else rows[1]
    with pytest.raises(InputError, match=said):
        module.optimize(checkpoint, data, final=final, artifacts=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_rows_of_the_final_score_tune_nothing_and_no_row_tunes_and_judges(
    text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path
) -> None:
    data = tmp_path / "data.tsv"
    lines, final = (path.read_text().splitlines() for path in rows)
    data.write_text("\n".join([*lines, *lines[1:], *final[1:]]) + "\n")
    parts = Source(str(data), Columns(), apart_from=str(rows[1])).parts(text_root)
    distinct = {line.split("\t")[0] for line in lines[1:]} - {line.split("\t")[0] for line in final[1:]}
    assert {*parts.tuning.examples, *parts.judging.examples} == distinct
    assert len(parts.tuning) + len(parts.judging) == len(distinct)
    assert parts.leaking >= 60
    assert parts.repeated >= 400 - len(set(lines))
    with pytest.raises(InputError, match=r"every row of .*tune\.tsv is in .*data\.tsv too"):
        Source(str(rows[0]), Columns(), apart_from=str(data)).parts(text_root)


def test_it_is_offered_to_code_of_users_own() -> None:
    assert ftc.optimize is module.optimize
    assert ftc.Request is Request
    with pytest.raises(AttributeError, match="no attribute 'optimise'"):
        _ = ftc.optimise


def test_the_command_survives_a_kill_and_prints_the_plan_and_the_winner(
    text_checkpoint: Path, rows: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[candidate]]\nquantize = {to = "onnx", mode = "dynamic"}\n')
    command = [sys.executable, "-m", "ftc", "optimize", str(text_checkpoint), "--data", str(rows[0])]
    command += ["--eval", str(rows[1]), "--recipe", str(recipe), "--artifacts", str(tmp_path / "made")]
    command += ["--max-drop", "0.2", "--time-budget", "45s", "--threads", "1"]
    plan_only = subprocess.run([*command, "--max-size", "5", "--dry-run"], capture_output=True, text=True, check=True)
    assert "quantize --mode dynamic --to onnx" in plan_only.stdout
    assert "latency, --max-drop 0.2, --max-size 5, 0.75 minutes" in plan_only.stdout
    assert not (tmp_path / "made").exists(), "a plan builds nothing"
    journals = tmp_path / "made" / "search"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        until = time.monotonic() + 120
        while time.monotonic() < until and not any('"built"' in j.read_text() for j in journals.glob("*.jsonl")):
            time.sleep(0.1)
        os.kill(running.pid, signal.SIGKILL)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "going on with a search that was interrupted" in done.stderr
    assert "all that was tried" in done.stdout
    page = (tmp_path / "made" / "report.html").read_text()
    assert "What the search tried" in page
    assert "export --to onnx | quantize --mode dynamic --to onnx" in page
    (journal,) = journals.glob("*.jsonl")
    entries = Journal(journal).entries
    assert isinstance(entries[-1], Ended)
    assert entries[-1].winner is not None
