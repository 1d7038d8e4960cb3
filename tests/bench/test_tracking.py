"""Runs in MLflow's own local store, read back with MLflow."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from bench.leaderboard import rank
from ftc.errors import InputError, MissingExtra, RunError
from tests.bench.pages import HOSTILE, renamed, usual

INSTALLED = all(importlib.util.find_spec(name) is not None for name in ("mlflow", "sqlalchemy", "alembic"))
needs_mlflow = pytest.mark.skipif(not INSTALLED, reason="logging to MLflow needs pip install -e '.[mlflow]'")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one store is made for all tests: its tables take MLflow seconds."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.mark.skipif(INSTALLED, reason="MLflow is installed")
def test_what_is_missing_is_said() -> None:
    from bench import tracking

    with pytest.raises(MissingExtra, match=r"--mlflow needs .*'\.\[mlflow\]'"):
        tracking.open_store(None)


@needs_mlflow
def test_every_candidate_is_a_run_with_params_and_metrics(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import tracking

    monkeypatch.chdir(place)
    Path("bench.jsonl").write_text("{}\n")
    store = tracking.open_store("sqlite:///mlflow.db")
    board = rank(renamed(usual(), "lite", HOSTILE))
    assert tracking.log(board, Path("bench.jsonl"), store) == "torch"
    experiment = store.client.get_experiment_by_name("torch")
    assert experiment is not None
    runs = {run.info.run_name: run for run in store.client.search_runs([experiment.experiment_id])}
    assert runs.keys() == {f"bench {board.run}", "torch", "onnx", "int8", HOSTILE, "wrong", "broken"}
    won = runs["int8"]
    assert won.data.params["quantize-somehow.per_channel"] == "True"
    assert won.data.params["runtime"] == "onnxruntime"
    assert won.data.params["threads"] == "2"
    assert won.data.params["instructions"] == "avx2"
    assert won.data.metrics["encode_p50_ms"] > 0
    assert won.data.params["data_fingerprint"] == "f00d"
    metrics = won.data.metrics
    assert metrics["accuracy"] == pytest.approx(0.94)
    assert metrics["speed_low"] < metrics["speed"] < metrics["speed_high"]
    assert metrics["size_bytes"] == 10**7
    assert metrics["latency_p50_ms"] == pytest.approx(1.5, rel=0.2)
    assert (won.data.tags["ftc.verdict"], won.info.status) == ("winner", "FINISHED")
    assert "latency_p50_ms" not in runs["broken"].data.metrics
    whole = runs[f"bench {board.run}"].info.run_id
    assert won.data.tags["mlflow.parentRunId"] == whole
    assert [file.path for file in store.client.list_artifacts(whole)] == ["bench.jsonl"]


@needs_mlflow
def test_a_store_that_cannot_be_had_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    from bench import tracking

    (tmp_path / "other.db").write_text("no database")
    for uri in ("artifacts/model", f"sqlite:///{tmp_path}/other.db", "nothing://here"):
        with pytest.raises(InputError, match="--mlflow"):
            tracking.open_store(uri)


@needs_mlflow
def test_a_store_that_fails_later_is_said(place: Path) -> None:
    from bench import tracking

    store = tracking.open_store(f"sqlite:///{place}/mlflow.db")
    with pytest.raises(RunError, match="cannot be used to log to"):
        tracking.log(rank(usual()), place / "gone.jsonl", store)


TELLS = """
import os
for name in ("CI", "PYTEST_CURRENT_TEST", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)
from bench import tracking
store = tracking.open_store("sqlite:///mlflow.db")
import mlflow.telemetry
from mlflow.telemetry.utils import is_telemetry_disabled
print(is_telemetry_disabled(), mlflow.telemetry.get_telemetry_client())
"""


@needs_mlflow
def test_mlflow_tells_nobody(place: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", TELLS], cwd=place, capture_output=True, text=True, check=True)
    assert ran.stdout == "True None\n"
