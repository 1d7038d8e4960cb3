"""`ftc bench --service`, on a real service."""

from __future__ import annotations

import json
import re
import socketserver
import threading
import urllib.error
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, cycle, repeat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.asking import Asked, Asking, Pace
from bench.clients import request
from bench.drive import Answers
from bench.options import Options
from bench.results import held
from bench.service import measure
from bench.statistics import floor
from ftc.artifact import Artifact
from ftc.cli import main
from ftc.errors import InputError, RunError
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


def shown(*arguments: object) -> str:
    result = CliRunner().invoke(main, ["bench", "--time-budget", "1", "--clients", "4", *map(str, arguments)])
    assert result.exit_code == 0, result.stderr
    return result.stdout


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


def test_requests_by_chance_come_at_a_share_of_what_the_clients_have_reached_in_the_rounds() -> None:
    clients = Asking(Asked("", (), None, 1.0))
    pace = Pace(None, 100.0, clients, turn_s=2.0, seed=0)
    for reached in (200, 400, 600):
        arrivals = pace.arrivals_ns(len(clients.answers))
        assert len(arrivals) == round(2 * pace.rates_per_s[-1])
        clients.answers.append(Answers(latencies_ns=[1] * reached, wall_s=1.0))
    assert pace.rates_per_s == pytest.approx([70, 140, 210])
    clients.answers[:] = [Answers(wall_s=1.0)]
    assert pace.arrivals_ns(3), "of a turn without a right answer no rate follows"
    assert pace.rates_per_s[-1] == pytest.approx(70)
    given = Pace(40.0, 100.0, clients, turn_s=2.0, seed=0)
    given.arrivals_ns(0)
    assert given.rates_per_s == [40.0]


def test_a_limit_is_what_the_service_is_asked_for(rows: Path) -> None:
    with fake(metadata(), cycle([http(RIGHT)])) as (url, _):
        found, _ = measured("--service", url, "--data", rows, "--limit", 5)
        assert found["requests"] == 5
        stderr = refused("--service", url, "--data", rows, "--limit", 5, "--batch-size", 6)
        assert "--batch-size 6: there are 5 rows" in stderr


def test_the_table_names_both_models_and_says_how_the_overhead_was_found(
    text_server: Server, text_int8: Artifact, rows: Path
) -> None:
    second = {"name": "other", "role": "ab", "share": 0.25, "runtime": "r2"}
    with fake(metadata(variants=[{**ABOUT, "role": "first", "share": 0.75}, second]), cycle([http(RIGHT)])) as (url, _):
        said = shown("--service", url, "--data", rows)
    assert f"m at {url}, run by r\n" in said
    assert "beside it other, run by r2, which answers 25.00% of the requests" in said
    assert "at 70% of what the clients had reached until then" in said
    said = shown(text_int8.path, "--service", text_server.url, "--data", rows, "--rate", 40)
    assert "in pairs of the same rows in the same round" in said
    assert "70%" not in said


def test_a_bento_is_started_and_measured_with_rows_together(bento: Packaged, rows: Path) -> None:
    assert store.path_of(bento.tag) == bento.path
    found, _ = measured("--service", bento.tag, "--data", rows, "--batch-size", 4)
    assert (found["rows"], found["requests"], found["threads"]) == (4, 2, 1)
    assert found["overhead"] is not None


PATIENCE_S = 30.0
"""What a fake service waits for whatever it waits for: a test that goes wrong ends."""

ABOUT = {"name": "m", "id": "i", "task": "text-classification", "labels": ["no", "yes"], "runtime": "r", "threads": 1}
RIGHT = b'[{"label": "yes", "score": 0.9}]'


def http(body: bytes, head: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def metadata(**changed: Any) -> bytes:
    return http(json.dumps({**ABOUT, **changed}).encode())


@contextmanager
def fake(about: bytes, answers: Iterable[bytes] = ()) -> Iterator[tuple[str, list[bytes]]]:
    """A service of given bytes: what it tells of itself, then answers in turn; and the heads it has seen."""
    heads: list[bytes] = []
    turn = iter(answers)
    lock = threading.Lock()

    class Handler(socketserver.StreamRequestHandler):
        timeout = PATIENCE_S

        def handle(self) -> None:
            while line := self.rfile.readline():
                head = line
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    head += line
                heads.append(head)
                length = re.search(rb"Content-Length: (\d+)", head)
                self.rfile.read(int(length[1]) if length else 0)
                with lock:
                    said = next(turn) if head.startswith(b"POST") else about
                self.wfile.write(said)
                if b"Connection: close" in said:
                    return

    class Quiet(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 512

        def handle_error(self, *_: object) -> None:
            """The client leaves when it has had enough."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.socket.settimeout(PATIENCE_S)  # a connection may be gone between select and accept
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", heads
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def failed(code: int, *arguments: object) -> str:
    result = CliRunner().invoke(main, ["bench", "--time-budget", "1", *map(str, arguments)])
    assert (result.exit_code, type(result.exception)) == (code, SystemExit), result.output
    return result.stderr


def test_errors_are_counted_and_have_no_latency(rows: Path) -> None:
    with fake(metadata(), cycle([http(RIGHT), http(b"{}", "503 Busy"), http(b"[]")])) as (url, _):
        found, _ = measured("--service", url, "--data", rows)
    busy = wrong = 0
    for load in found["loads"]:
        busy += load["statuses"].get("503", 0)
        wrong += load["statuses"]["200"] - load["samples"]
        assert load["errors"] == sum(load["statuses"].values()) - load["samples"]
    assert min(busy, wrong) > 0


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([http(RIGHT), http(b"busy", "503 Busy")], "503: busy"),
        ([http(b"[]")], "200: []"),
        ([http(RIGHT[:-1])], "200: "),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], "which is not HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n"], "Content-Length of 'abc'"),
    ],
)
def test_without_one_right_answer_the_run_fails(answers: list[bytes], said: str, rows: Path) -> None:
    with fake(metadata(), chain(answers, repeat(answers[-1]))) as (url, _):
        stderr = failed(1, "--service", url, "--data", rows)
    assert url in stderr
    assert said in stderr


def test_a_turn_without_a_right_answer_is_empty_and_several_end_the_run() -> None:
    busy = http(b"{}", "503 Busy")
    with fake(metadata(), [http(RIGHT), busy, busy, http(RIGHT), busy, busy, busy]) as (url, _):
        asking = Asking(Asked(url, [request(url, b"{}")], 1, PATIENCE_S))
        assert [len(asking.turn([[0]])[0]) for _ in range(6)] == [1, 0, 0, 1, 0, 0]
        with pytest.raises(RunError, match="answered none of 1 requests rightly; what the last one got: 503"):
            asking.turn([[0]])
    assert sum(answers.errors for answers in asking.answers) == 4


def test_a_key_goes_nowhere_but_to_the_service(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTC_API_KEY", "secret")
    with fake(metadata()) as (other, stolen):
        moved = f"HTTP/1.1 302 Found\r\nLocation: {other}/metadata\r\nContent-Length: 0\r\n\r\n".encode()
        with fake(moved) as (url, heads):
            assert "a redirect, which is not followed" in failed(2, "--service", url, "--data", rows)
            with pytest.raises(urllib.error.HTTPError, match="302"):
                Server(None, url).get("/metadata")  # type: ignore[arg-type]
    assert [b"secret" in head for head in heads] == [True, True]
    assert stolen == []


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "BadStatusLine"),
        (http(b"{}", "200 OK\r\nConnection: close")[:-1], "answers at"),
        (http(b"[" * 100_000), "answers at"),
        (http(b" " * (4 * 2**20 + 1)), "an answer of more than 4194304 bytes"),
        (http(b"[1]"), "it is no JSON object"),
        (metadata(name=5), "'name' is no text"),
        (metadata(labels=5), "'labels' are no list"),
        (metadata(variants=[{}]), "'variants' are no list"),
        (metadata(threads="many"), "'threads' are no number"),
        (metadata(task="nope"), "unknown task 'nope'"),
    ],
)
def test_what_tells_of_no_model_is_refused(about: bytes, said: str, rows: Path) -> None:
    with fake(about) as (url, _):
        assert said in failed(2, "--service", url, "--data", rows)


def test_a_service_that_trickles_is_left_in_time(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.reach._ANSWER_S", 2.0)
    with fake(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{") as (url, _):
        assert "no whole answer in 2 s" in failed(2, "--service", url, "--data", rows)
    with fake(metadata(), [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n["]) as (url, _):
        assert "no whole answer in 2 s" in failed(1, "--service", url, "--data", rows, "--time-limit", "2s")


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1", "http://127.0.0.1:3000/a b", "http://h?a=1"])
def test_what_is_no_url_is_refused(url: str, rows: Path) -> None:
    assert url in failed(2, "--service", url, "--data", rows)


@pytest.mark.parametrize("rate", ["-5", "0", "nan", "inf"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    said = refused("--service", "http://127.0.0.1:9", "--rate", rate)
    assert "--rate must be a number of requests in a second above 0" in said


def test_a_rate_at_which_too_few_requests_come_is_refused_before_any_is_sent() -> None:
    with pytest.raises(
        InputError, match=r"10 queries .* take 100 s to come; .* --time-budget 150s, or --rate 0.5 or more"
    ):
        measure("http://127.0.0.1:9", [b""], clients=1, options=Options(time_budget_s=30), rate_per_s=0.1)


def test_what_is_no_service_is_refused(text_server: Server, text_onnx: Artifact, rows: Path, tmp_path: Path) -> None:
    assert "no service of ftc answers" in refused("--service", "http://127.0.0.1:9", "--data", rows)
    assert "plain HTTP" in refused("--service", "https://127.0.0.1:9", "--data", rows)
    assert "answered 404" in refused("--service", f"{text_server.url}/elsewhere", "--data", rows)
    assert "but no Bento" in refused("--service", tmp_path, "--data", rows)
    assert "neither a path nor a Bento" in refused("--service", "nothing:1", "--data", rows)
    assert "--data is needed" in refused("--service", text_server.url)
    assert "not " + str(text_onnx.path) in refused(text_onnx.path, "--service", text_server.url, "--data", rows)
    for useless in (("--scenario", "offline"), ("--artifacts", tmp_path)):
        assert f"{useless[0]} does not go with --service" in refused("--service", text_server.url, *useless)
    other = tmp_path / "other.jsonl"
    other.write_text("{}\n")
    assert "something else" in refused("--service", text_server.url, "--data", rows, "-o", other)


def test_a_file_that_another_bench_has_is_refused_before_anything_is_asked(rows: Path, tmp_path: Path) -> None:
    with fake(metadata()) as (url, heads), held(tmp_path / "service.jsonl"):
        stderr = failed(2, "--service", url, "--data", rows, "-o", tmp_path / "service.jsonl")
    assert "another ftc bench is measuring into" in stderr
    assert heads == []


def test_what_was_found_is_shown_though_it_cannot_be_written(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RunError("the disk is full")

    monkeypatch.setattr("bench.results.append_line", full)
    with fake(metadata(), cycle([http(RIGHT)])) as (url, _):
        asked = ("bench", "--time-budget", "1", "--service", url, "--data", str(rows), "-o", str(tmp_path / "kept"))
        result = CliRunner().invoke(main, asked)
        assert result.exit_code == 1
        assert "the disk is full" in result.stderr
        assert "one client" in result.stdout
        monkeypatch.undo()
        measured("--service", url, "--data", rows, "-o", tmp_path / "kept")
    assert len((tmp_path / "kept").read_text().splitlines()) == 1
