"""`ftc bench --service`, on a real service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.statistics import floor
from ftc.artifact import Artifact
from ftc.cli import main
from serve import store
from serve.package import Packaged
from serve.server import Server


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text("text,label\n" + "".join(f"the screen is bright {number},{number % 2}\n" for number in range(9)))
    return path


def measured(*arguments: object) -> tuple[dict[str, Any], str]:
    result = CliRunner().invoke(main, ["bench", "--json", "--time-budget", "1", "--clients", "4", *map(str, arguments)])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(main, ["bench", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    return result.stderr


def test_a_url_is_measured_beside_the_artifact_that_it_holds(
    text_server: Server, text_int8: Artifact, rows: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "service.jsonl"
    found, _ = measured(text_int8.path, "--service", text_server.url, "--data", rows, "-o", kept, "--rate", 40)
    loads = {load["name"]: load for load in found["loads"]}
    assert list(loads) == ["one client", "4 clients", "by chance", "bare session"]
    assert loads["by chance"]["rate_per_s"] == 40
    for load in loads.values():
        assert load["errors"] == 0
        assert (load["p99_ns"] is not None) == (load["samples"] >= floor(99))
        assert (load["p90_ns"] is not None) == (load["samples"] >= floor(90))
    assert loads["one client"]["p50_ns"] > loads["bare session"]["p50_ns"]
    assert found["overhead"]["ratio"]["low"] > 1
    assert found["service"]["id"] == text_int8.manifest.id
    (line,) = [json.loads(line) for line in kept.read_text().splitlines()]
    assert line["kind"] == "service"
    one, bare = (line["turns"][name] for name in ("one client", "bare session"))
    assert [len(turn["calls_ns"][0]) for turn in one] == [len(turn["calls_ns"][0]) for turn in bare]


def test_a_bento_is_started_and_measured_with_rows_together(bento: Packaged, rows: Path) -> None:
    assert store.path_of(bento.tag) == bento.path
    found, _ = measured("--service", bento.tag, "--data", rows, "--batch-size", 4)
    assert (found["rows"], found["requests"], found["threads"]) == (4, 2, 1)
    assert found["overhead"] is not None


def test_errors_are_counted_and_no_latency(text_server: Server, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import service

    monkeypatch.setattr(service, "_require_answer", lambda *_: None)
    monkeypatch.setattr("serve.replay.request_body", lambda *_: {"texts": []})
    found, _ = measured("--service", text_server.url, "--data", rows)
    for load in found["loads"]:
        assert load["errors"] == sum(load["statuses"].values()) > 0
        assert set(load["statuses"]) == {"400"}
        assert (load["samples"], load["p50_ns"]) == (0, None)


def test_what_is_no_service_is_refused(text_server: Server, text_onnx: Artifact, rows: Path, tmp_path: Path) -> None:
    assert "no service of ftc answers" in refused("--service", "http://127.0.0.1:9", "--data", rows)
    assert "plain HTTP" in refused("--service", "https://127.0.0.1:9", "--data", rows)
    assert "answered 404" in refused("--service", f"{text_server.url}/elsewhere", "--data", rows)
    assert "but no Bento" in refused("--service", tmp_path, "--data", rows)
    assert "neither a path nor a Bento" in refused("--service", "nothing:1", "--data", rows)
    assert "--data is needed" in refused("--service", text_server.url)
    assert "not " + str(text_onnx.path) in refused(text_onnx.path, "--service", text_server.url, "--data", rows)
    assert "--scenario does not go with" in refused("--service", text_server.url, "--scenario", "offline")
    other = tmp_path / "other.jsonl"
    other.write_text("{}\n")
    assert "something else" in refused("--service", text_server.url, "--data", rows, "-o", other)
