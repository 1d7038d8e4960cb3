"""`ftc bench` on the command line: what would do nothing is refused, and what ends with bad news."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.leaderboard import rank
from ftc.artifact import Artifact
from ftc.cli import main
from ftc.measurement import Measurement
from tests.bench.made import measurement, run


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--clients", "4"), "--clients does not go with a run without --service"),
        (("--limit", "4"), "--limit does not go with a run without --data"),
        (("--scenario", "offline", "--batch-size", "8"), "--batch-size does not go with --scenario offline"),
        (
            ("--scenario", "server", "--rate", "5", "--latency-bound", "5", "--batch-size", "8"),
            "--batch-size does not go with --scenario server",
        ),
    ],
)
def test_what_would_do_nothing_is_refused(given: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["bench", "--artifacts", str(tmp_path), *given])
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_self_check_that_could_not_be_made_ends_as_one_that_failed(
    text_onnx: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = measurement("onnx", 4000)
    twin = replace(onnx.candidate, id="again", name="onnx-again", twin_of=onnx.candidate.id)
    checks = (replace(onnx, candidate=twin), 0), (Measurement(twin, failure="no memory"), 3)
    for again, code in checks:
        monkeypatch.setattr("bench.run.bench", lambda *_, again=again, **__: rank(run(onnx, again)))
        result = CliRunner().invoke(main, ["bench", str(text_onnx.path), "--artifacts", str(tmp_path), "--self-check"])
        assert result.exit_code == code, result.stderr
        assert ("onnx-again failed: no memory: believe no ratio of this run" in " ".join(result.stderr.split())) == (
            code == 3
        )
