"""The whole demo with smaller recipes: real training, real measurements, a real service that answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ftc.artifact import find_artifacts
from ftc.checkpoint import open_any
from ftc.demo.image import LABELS as DIGITS
from ftc.demo.intents import LABELS as INTENTS
from ftc.demo.text import Intents

# a process of its own, as for a user: BentoML reads where its store is only once
SCRIPT = """
import json
from pathlib import Path
from ftc.demo.image import Digits
from ftc.demo.run import run
from ftc.demo.text import Intents

done = run({subject}, Path("demo"), timing_budget_s=0.5)
print(json.dumps({{
    "label": done.answer.label,
    "score": done.answer.score,
    "names": [standing.candidate.name for standing in done.board.standings],
    "failed": [standing.reason for standing in done.board.standings if standing.verdict == "failed"],
    "bento": done.packaged.path,
    "next": [command for command, _ in done.next],
}}))
"""
SMALL_TEXT = "Intents(train_rows=300, vocabulary=400, layers=1, hidden=32, epochs=1)"
TEXT_ARTIFACTS = {"intents-onnx", "intents-onnx-dynamic-int8", "intents-onnx-static-int8"}
SMALL_IMAGE = "Digits(images=200, widths=(8, 16), blocks=1, epochs=1)"


def demonstrate(subject: str, place: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "BENTOML_HOME"}
    command = [sys.executable, "-c", SCRIPT.format(subject=subject)]
    return subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment, check=False)


def check(result: subprocess.CompletedProcess[str], place: Path, labels: tuple[str, ...], names: set[str]) -> None:
    assert result.returncode == 0, result.stderr
    done = json.loads(result.stdout)
    assert done["label"] in labels
    assert 1 / len(labels) < done["score"] <= 1
    assert set(done["names"]) == names
    assert not done["failed"]
    assert Path(done["bento"]).is_relative_to(place / "demo" / "bentoml")
    assert [entry.name for entry in place.iterdir()] == ["demo"], "nothing is written beside the directory"
    named = [word for command in done["next"] for word in command.split() if word.startswith("demo/")]
    assert named
    assert all((place / path).exists() for path in named)


def ids_of(place: Path) -> dict[str, str]:
    artifacts = find_artifacts(place / "demo" / "artifacts")
    return {artifact.manifest.name: artifact.manifest.id for artifact in artifacts}


@pytest.fixture(scope="module")
def text_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


def test_texts_from_nothing_to_an_answer_over_http(text_place: Path) -> None:
    result = demonstrate(SMALL_TEXT, text_place)
    check(result, text_place, INTENTS, {"intents", *TEXT_ARTIFACTS})
    assert [line[:5] for line in result.stderr.splitlines() if line.startswith("[")] == [
        f"[{number}/7]" for number in range(1, 8)
    ]


def test_a_second_run_goes_on_where_the_first_one_ended(text_place: Path) -> None:
    made = ids_of(text_place)
    assert set(made) == TEXT_ARTIFACTS
    shutil.rmtree(text_place / "demo" / "artifacts" / "intents-onnx-static-int8")
    result = demonstrate(SMALL_TEXT, text_place)
    check(result, text_place, INTENTS, {"intents", *TEXT_ARTIFACTS})
    assert "demo/data: already there" in result.stderr
    assert "demo/intents: already there" in result.stderr
    assert ids_of(text_place) == made


def test_images_from_nothing_to_an_answer_over_http(tmp_path: Path) -> None:
    check(demonstrate(SMALL_IMAGE, tmp_path), tmp_path, DIGITS, {"digits", "digits-onnx", "digits-onnx-static-int8"})


def test_training_twice_gives_the_same_checkpoint(tmp_path: Path) -> None:
    subject = Intents(train_rows=96, vocabulary=300, layers=1, hidden=16, epochs=1)
    for name in ("first", "second"):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "intents").mkdir()
        subject.write_data(tmp_path / name / "data")
        subject.train_into(tmp_path / name / "data", tmp_path / name / "intents")
    first, second = (open_any(tmp_path / name / "intents") for name in ("first", "second"))
    assert first.manifest.id == second.manifest.id


def test_the_command_refuses_a_directory_with_something_else(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "notes.txt").write_text("mine")
    command = [sys.executable, "-m", "ftc", "demo"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "demo holds something else" in result.stderr
    assert result.stdout == ""
