"""The whole demo with smaller recipes: real training, real measurements, a real service that answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftc.artifact import find_artifacts
from ftc.demo.image import LABELS as DIGITS
from ftc.demo.intents import LABELS as INTENTS

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
SMALL_IMAGE = "Digits(images=200, widths=(8, 16), blocks=1, epochs=1)"


def demonstrate(subject: str, place: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "BENTOML_HOME"}
    command = [sys.executable, "-c", SCRIPT.format(subject=subject)]
    return subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment, check=False)


@pytest.mark.parametrize(
    ("subject", "labels", "names"),
    [
        (SMALL_TEXT, INTENTS, {"intents", "intents-onnx", "intents-dynamic-int8", "intents-static-int8"}),
        (SMALL_IMAGE, DIGITS, {"digits", "digits-onnx", "digits-static-int8"}),
    ],
    ids=["text", "image"],
)
def test_from_nothing_to_an_answer_over_http(
    subject: str, labels: tuple[str, ...], names: set[str], tmp_path: Path
) -> None:
    result = demonstrate(subject, tmp_path)
    assert result.returncode == 0, result.stderr
    done = json.loads(result.stdout)
    assert done["label"] in labels
    assert 1 / len(labels) < done["score"] <= 1
    assert set(done["names"]) == names
    assert not done["failed"]
    assert Path(done["bento"]).is_relative_to(tmp_path / "demo" / "bentoml")
    assert [entry.name for entry in tmp_path.iterdir()] == ["demo"]
    made = {artifact.manifest.name: artifact.manifest.id for artifact in find_artifacts(tmp_path / "demo/artifacts")}
    for path in (word for command in done["next"] for word in command.split() if word.startswith("demo/")):
        assert (tmp_path / path).exists(), path

    again = demonstrate(subject, tmp_path)
    assert again.returncode == 0, again.stderr
    assert "demo/data: already there" in again.stderr
    assert "training" not in again.stderr
    assert made == {
        artifact.manifest.name: artifact.manifest.id for artifact in find_artifacts(tmp_path / "demo/artifacts")
    }


def test_the_command_refuses_a_directory_with_something_else(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "notes.txt").write_text("mine")
    command = [sys.executable, "-m", "ftc", "demo"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "demo holds something else" in result.stderr
    assert result.stdout == ""
