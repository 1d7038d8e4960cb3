"""Two models in one service: a split of the requests, and a shadow that nobody waits for."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftc import golden
from ftc.artifact import Artifact
from ftc.errors import InputError, RunError
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks.classification import Prediction
from ftc.tasks.task import open_task
from serve import shadow as shadow_module
from serve import shadow_process
from serve.bundle import Bundle, Second, Settings, require_alike
from serve.context import stage
from serve.package import Packaged, package
from serve.server import Server
from serve.shadow import MOST_COPIES, Shadow
from serve.shadow_process import ShadowError, ShadowProcess
from serve.split import Split, share_of
from tests.serve.conftest import serving
from tests.serve.test_package import less_certain

TEXT = "a charming journey"


@given(share=st.floats(0.001, 0.999), more=st.floats(0, 1), session=st.binary(min_size=1, max_size=40))
def test_a_session_stays_with_its_model_also_when_the_share_grows(share: float, more: float, session: bytes) -> None:
    split = Split(share, "salt")
    assert split.takes_second(session) == split.takes_second(session)
    if split.takes_second(session):
        assert Split(share + more * (1 - share), "salt").takes_second(session)


@pytest.mark.parametrize("named", [True, False])
def test_sessions_and_requests_are_shared_as_asked(named: bool) -> None:
    split = Split(0.2, "salt")
    taken = sum(split.takes_second(str(number).encode() if named else None) for number in range(4000))
    assert 0.16 < taken / 4000 < 0.24  # six standard deviations


def test_another_second_model_draws_other_sessions() -> None:
    sessions = [str(number).encode() for number in range(200)]
    assert [Split(0.5, "a").takes_second(s) for s in sessions] != [Split(0.5, "b").takes_second(s) for s in sessions]


@pytest.mark.parametrize(("weights", "share"), [("90:10", 0.1), ("1:1", 0.5), ("1:3", 0.75), ("99.5:0.5", 0.005)])
def test_weights_are_read(weights: str, share: float) -> None:
    assert share_of(weights) == pytest.approx(share)


@pytest.mark.parametrize("weights", ["", "0.1", "100:0", "0:1", "-1:2", "1:2:3", "nan:1", "1:1000000"])
def test_other_weights_are_refused(weights: str) -> None:
    with pytest.raises(InputError, match="such as 90:10"):
        share_of(weights)


def test_models_that_answer_other_requests_are_refused(
    text_onnx: Artifact, text_int8: Artifact, image_onnx: Artifact
) -> None:
    require_alike(text_int8, text_onnx)
    with pytest.raises(InputError, match="one task for both"):
        package(text_int8, second=Second(image_onnx, "shadow"))
    turned = Artifact(text_onnx.path, replace(text_onnx.manifest, labels=text_onnx.manifest.labels[::-1]))
    with pytest.raises(InputError, match="one list of labels"):
        require_alike(text_int8, turned)
    with pytest.raises(InputError, match="the same artifact"):
        require_alike(text_int8, text_int8)


def _scores(artifact: Artifact, text: str) -> dict[str, float]:
    task = open_task(artifact)
    return task.decode(open_session(artifact, SessionOptions(1)).run(task.encode([text])))[0].scores


def _counted(server: Server, name: str, by: str) -> dict[str, float]:
    """A metric, added up by the value of one of its labels."""
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        lines = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", answer.read().decode(), re.MULTILINE)
    counts: Counter[str] = Counter()
    for labels, value in lines:
        counts[dict(re.findall(r'(\w+)="([^"]*)"', labels))[by]] += float(value)
    return dict(counts)


@pytest.fixture(scope="module")
def ab_bento(text_int8: Artifact, text_onnx: Artifact, bentoml_home: Path) -> Packaged:
    return package(text_int8, Settings(threads=1), "both", Second(text_onnx, "ab", 0.5, {"p50_ns": 7}))


@pytest.fixture(scope="module")
def ab_server(ab_bento: Packaged, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(ab_bento.tag, tmp_path_factory.mktemp("ab-server")) as server:
        server.wait_until_ready()
        yield server


def _asked(server: Server, session: str | None = None) -> tuple[str, dict[str, float]]:
    """The model that answered, and its scores."""
    body = json.dumps({"texts": [TEXT], "all_scores": True}).encode()
    headers = {"Content-Type": "application/json"} | ({"X-FTC-Session": session} if session is not None else {})
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}/predict", body, headers)) as answer:
        return answer.headers["X-FTC-Variant"], json.load(answer)[0]["scores"]


def test_both_models_are_replayed_before_the_bento_is_kept(
    ab_bento: Packaged, text_int8: Artifact, text_onnx: Artifact
) -> None:
    assert ab_bento.replayed == sum(len(golden.read(each.path).examples) for each in (text_int8, text_onnx))
    assert (ab_bento.second, ab_bento.share) == (text_onnx.manifest.id, 0.5)
    names = {line.partition("==")[0] for line in ab_bento.requirements}
    assert names - {"uvloop", "httptools"} == {"bentoml", "numpy", "pydantic", "tokenizers", "onnxruntime"}


def test_each_model_gives_its_own_answers_and_its_name(
    ab_server: Server, text_int8: Artifact, text_onnx: Artifact
) -> None:
    wanted = {artifact.manifest.name: _scores(artifact, TEXT) for artifact in (text_int8, text_onnx)}
    before = _counted(ab_server, "ftc_request_seconds_count", "variant")
    by_session = {str(number): _asked(ab_server, str(number)) for number in range(20)}
    by_chance = [_asked(ab_server) for _ in range(30)]
    for name, scores in [*by_session.values(), *by_chance]:
        assert scores == pytest.approx(wanted[name], abs=1e-5)
    assert {name for name, _ in by_session.values()} == {name for name, _ in by_chance} == set(wanted)
    assert by_session == {session: _asked(ab_server, session) for session in by_session}
    after = _counted(ab_server, "ftc_request_seconds_count", "variant")
    assert sum(after.values()) - sum(before.values()) == 70
    assert all(after[name] > before.get(name, 0) for name in wanted)


def test_who_refuses_is_named_and_an_empty_session_is_none(ab_server: Server) -> None:
    headers = {"Content-Type": "application/json", "X-FTC-Session": ""}
    names = set()
    for _ in range(40):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(f"{ab_server.url}/predict", b"[]", headers))
        assert refused.value.code == 400
        names.add(refused.value.headers["X-FTC-Variant"])
    assert names == {told["variant"] for told in ab_server.get("/metadata")["variants"]}


def test_metadata_tells_of_both(ab_server: Server, text_int8: Artifact, text_onnx: Artifact) -> None:
    about = ab_server.get("/metadata")
    assert about["id"] == text_int8.manifest.id
    first, second = about["variants"]
    assert (first["variant"], first["role"], first["share"]) == (text_int8.manifest.name, "first", 0.5)
    assert (second["id"], second["role"], second["share"]) == (text_onnx.manifest.id, "ab", 0.5)
    assert second["measured"] == {"p50_ns": 7}
    assert (first["max_batch_size"], second["max_batch_size"]) == (1, 8)
    predict = ab_server.get("/docs.json")["paths"]["/predict"]["post"]
    assert [each["name"] for each in predict["parameters"]] == ["X-FTC-Session"]
    told = {
        status for status, response in predict["responses"].items() if "X-FTC-Variant" in response.get("headers", ())
    }
    assert told == set(predict["responses"]) - {"401"}


def test_a_service_is_ready_only_if_both_models_are_right(
    text_int8: Artifact, text_onnx: Artifact, tmp_path: Path
) -> None:
    wrong = less_certain(text_onnx, 0.5, tmp_path / "claimed")
    for role in ("ab", "shadow"):
        place = tmp_path / role
        place.mkdir()
        stage(text_int8, Settings(threads=1), place, Second(wrong, role, 0.5 if role == "ab" else 0.0))  # type: ignore[arg-type]
        with (
            serving("serve.service:FtcService", place, home=place) as server,
            pytest.raises(RunError, match=r"not ready \(503\)"),
        ):
            server.wait_until_ready()


@pytest.fixture(scope="module")
def shadow_server(
    text_int8: Artifact, text_onnx: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    place = tmp_path_factory.mktemp("shadow-server")
    stage(text_int8, Settings(), place, Second(text_onnx, "shadow"))
    with serving("serve.service:FtcService", place, home=place) as server:
        server.wait_until_ready()
        yield server, place


def _until(done: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (value := done()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def test_a_shadow_answers_copies_and_the_first_model_answers_the_client(
    shadow_server: tuple[Server, Path], text_int8: Artifact, text_onnx: Artifact
) -> None:
    server, _ = shadow_server
    name, scores = _asked(server)
    assert name == text_int8.manifest.name
    assert scores == pytest.approx(_scores(text_int8, TEXT), abs=1e-5)
    server.post("/predict", {"texts": ["good film", {"text": "bad", "text_pair": "worse"}]})
    answered = _until(lambda: sum(_counted(server, "ftc_shadow_answers_total", "label").values()) >= 3)
    assert answered
    assert set(_counted(server, "ftc_shadow_seconds_count", "variant")) == {text_onnx.manifest.name}
    assert [told["role"] for told in server.get("/metadata")["variants"]] == ["first", "shadow"]


def test_a_shadow_that_hangs_delays_nobody_and_what_it_misses_is_counted(shadow_server: tuple[Server, Path]) -> None:
    server, _ = shadow_server
    workers = psutil.Process(server.process.pid).children(recursive=True)
    (process,) = [child for child in workers if "serve.shadow_process" in child.cmdline()]
    assert process.nice() == 19
    process.suspend()
    try:
        for _ in range(MOST_COPIES + 10):
            _asked(server)
        assert _counted(server, "ftc_shadow_dropped_total", "why").get("full", 0) >= 9
        with urllib.request.urlopen(f"{server.url}/readyz") as answer:
            assert answer.status == 200
    finally:
        process.resume()


def test_a_shadow_that_hangs_is_ended_even_if_it_does_not_read_what_it_is_sent(
    text_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_process, "ANSWER_S", 1.0)
    started = ShadowProcess.start(Bundle(text_onnx, Settings()))
    try:
        psutil.Process(started._process.pid).suspend()
        more_than_a_pipe_holds = json.dumps({"texts": ["bright " * 40_000]}).encode()
        with pytest.raises(ShadowError, match="has ended"):
            started.ask(more_than_a_pipe_holds, b"application/json")
        assert not started.is_alive
    finally:
        started.end()


def test_disagreement_is_logged_without_what_was_asked_and_a_dead_shadow_is_started_again(
    text_onnx: Artifact, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from serve import journal

    monkeypatch.setattr(shadow_module, "RESTART_S", 0.1)
    journal.begin(quiet=False)
    shadow = Shadow.open("other", Bundle(text_onnx, Settings()))
    try:
        said = ""

        def logged(event: str) -> Any:
            nonlocal said
            said += capsys.readouterr().out
            lines = [json.loads(line) for line in said.splitlines()]
            return [line for line in lines if line["event"] == event]

        scores = _scores(text_onnx, TEXT)
        mine = max(scores, key=scores.__getitem__)
        other = next(label for label in scores if label != mine)
        claimed = Prediction(other, scores[other], {other: scores[mine], mine: scores[other]})
        raw = json.dumps({"texts": TEXT}).encode()
        shadow.offer(raw, b"application/json", [Prediction(mine, scores[mine], scores)])
        shadow.offer(raw, b"application/json", [claimed])
        (line,) = _until(lambda: logged("disagreement"))
        assert line["labels"] == [[other, mine]]
        assert line["score_difference"] == pytest.approx(abs(scores[mine] - scores[other]), abs=1e-4)
        shadow._process._process.kill()
        shadow.offer(raw, b"application/json", [claimed])
        assert _until(lambda: logged("shadow failed"))
        _until(lambda: shadow._process.is_alive)
        shadow.offer(raw, b"application/json", [claimed])
        assert _until(lambda: len(logged("disagreement")) == 2)
        assert TEXT not in said
        # one that answers wrongly when it is started again is not compared with
        started_right = ShadowProcess.start

        def started_wrong(bundle: Bundle) -> ShadowProcess:
            process = started_right(bundle)
            process.wrong = "golden example 0: wrong"
            return process

        with monkeypatch.context() as patch:
            patch.setattr(ShadowProcess, "start", started_wrong)
            shadow._process._process.kill()
            shadow.offer(raw, b"application/json", [claimed])
            (line, *_) = _until(lambda: logged("not ready"))
            assert line["reason"] == "golden example 0: wrong"
        _until(lambda: shadow._process.is_alive)
        shadow.offer(raw, b"application/json", [claimed])
        assert _until(lambda: len(logged("disagreement")) == 3)
    finally:
        shadow.close()
        journal.begin(quiet=True)
