"""A running service: right answers, batches across requests, and no bad input that ends in a 500."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ftc.artifact import Artifact
from ftc.runtimes.session import SessionOptions, available_cores, open_session
from ftc.tasks.task import open_task
from serve.bundle import Settings
from serve.context import stage
from serve.server import Server
from tests.serve.conftest import serving


def ask(server: Server, body: bytes, content_type: str = "application/json", **headers: str) -> tuple[int, Any]:
    """Status and JSON of what `/predict` answers to any bytes."""
    request = urllib.request.Request(f"{server.url}/predict", body, {"Content-Type": content_type, **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def encoded(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def form(*files: bytes, field: str = "images") -> tuple[bytes, str]:
    """A multipart body with files, as `curl -F` sends them, and its content type."""
    parts = [
        b'--cut\r\nContent-Disposition: form-data; name="%s"; filename="x.png"\r\n\r\n%s\r\n' % (field.encode(), file)
        for file in files
    ]
    return b"".join(parts) + b"--cut--\r\n", "multipart/form-data; boundary=cut"


PICTURE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def test_one_text_gets_its_label_and_every_score_on_request(text_server: Server) -> None:
    (answer,) = text_server.post("/predict", {"texts": "a charming journey", "all_scores": True})
    assert set(answer["scores"]) == {"negative", "positive"}
    assert sum(answer["scores"].values()) == pytest.approx(1)
    assert answer["score"] == answer["scores"][answer["label"]] == max(answer["scores"].values())
    (short,) = text_server.post("/predict", {"texts": ["a charming journey"]})
    assert short == {"label": answer["label"], "score": answer["score"], "truncated": False}


def test_a_text_that_is_too_long_is_cut_as_in_evaluation_and_flagged(text_server: Server, text_int8: Artifact) -> None:
    text = "good film " * 60
    answers = text_server.post("/predict", {"texts": [text], "all_scores": True})
    task = open_task(text_int8)
    outputs = open_session(text_int8, SessionOptions(1)).run(task.encode([text]))
    assert answers[0]["truncated"]
    assert answers[0]["scores"] == pytest.approx(task.decode(outputs)[0].scores, abs=1e-5)


def test_json_that_curl_calls_a_form_is_understood(text_server: Server) -> None:
    status, answers = ask(text_server, b'{"texts": ["good"]}', "application/x-www-form-urlencoded")
    assert status == 200
    assert len(answers) == 1


def test_a_pair_is_encoded_as_a_pair(text_server: Server, text_int8: Artifact) -> None:
    body = {"texts": {"text": "good film", "text_pair": "bad battery"}, "all_scores": True}
    (answer,) = text_server.post("/predict", body)
    task = open_task(text_int8)
    outputs = open_session(text_int8, SessionOptions(1)).run(task.encode([("good film", "bad battery")]))
    assert answer["scores"] == pytest.approx(task.decode(outputs)[0].scores, abs=1e-5)


def test_a_list_longer_than_a_batch_is_answered_in_its_order(image_server: Server, text_server: Server) -> None:
    pictures = [np.full((32, 32, 3), 6 * number, np.uint8) for number in range(40)]
    alone = [image_server.post("/predict", {"images": _base64(p)})[0]["score"] for p in pictures]
    together = image_server.post("/predict", {"images": [_base64(p) for p in pictures]})
    assert [answer["score"] for answer in together] == pytest.approx(alone, abs=1e-5)
    assert len(text_server.post("/predict", {"texts": ["good"] * 21})) == 21


def test_concurrent_requests_get_their_own_answers(text_server: Server) -> None:
    texts = ["good film", "bad battery " * 3, "the screen is bright", "slow delivery " * 9]
    alone = [text_server.post("/predict", {"texts": text})[0]["label"] for text in texts]

    def one(number: int) -> list[str]:
        asked = [texts[(number + place) % 4] for place in range(1 + number % 3)]
        return [answer["label"] for answer in text_server.post("/predict", {"texts": asked})]

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(one, range(96)))
    assert answers == [[alone[(number + place) % 4] for place in range(1 + number % 3)] for number in range(96)]


def test_metadata_says_what_is_served(text_server: Server, text_int8: Artifact) -> None:
    about = text_server.get("/metadata")
    assert about["id"] == text_int8.manifest.id
    assert about["labels"] == ["negative", "positive"]
    assert [step["step"] for step in about["lineage"]] == [None, "export-onnx", "quantize-onnx-dynamic"]
    assert (about["threads"], about["max_batch_size"], about["measured"]) == (1, 8, {"p50_ns": 5})
    assert (about["workers"], about["batch_wait_ms"], about["max_body_bytes"]) == (1, 0.0, 2**20)


def test_metadata_says_which_settings_hold_where_none_was_given(image_server: Server) -> None:
    about = image_server.get("/metadata")
    assert (about["threads"], about["callers"], about["max_batch_size"]) == (1, available_cores(), 8)
    assert (about["workers"], about["batch_wait_ms"], about["max_body_bytes"]) == (1, 0.0, 2**24)
    assert {name for name, value in about.items() if value is None} == {"measured", "tuned"}, "these were not done"


def test_openapi_types_the_request_and_shows_an_example_that_works(text_server: Server, image_server: Server) -> None:
    for server, answered in ((text_server, {"label", "score", "truncated", "scores"}), (image_server, None)):
        document = server.get("/docs.json")
        content = document["paths"]["/predict"]["post"]["requestBody"]["content"]
        (answer,) = server.post("/predict", content["application/json"]["example"])
        assert set(answer) == (answered or {"label", "score", "scores"})
        schema = document["components"]["schemas"]["Answer"]
        assert set(schema["properties"]) == set(answer)
        assert answer["label"] in schema["properties"]["label"]["enum"]
    images = content["multipart/form-data"]["schema"]["properties"]["images"]
    assert images["items"] == {"type": "string", "format": "binary"}


def test_the_page_tells_nobody_who_opens_it(text_server: Server) -> None:
    with urllib.request.urlopen(text_server.url) as answer:
        page = answer.read().decode()
    assert "swagger-ui" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "the body is empty"),
        (b"texts", 400, "no valid JSON"),
        (b"[]", 400, 'a JSON object with the key "texts"'),
        (b"null", 400, 'a JSON object with the key "texts"'),
        (b'{"texts": []}', 400, "at least one text"),
        (b'{"texts": 1}', 400, "a text, a pair of texts, or a list"),
        (b'{"texts": [""]}', 400, "texts[0] is empty"),
        (b'{"texts": " \\n"}', 400, "texts[0] is empty"),
        (b'{"texts": ["good", " \\n"]}', 400, "texts[1] is empty"),
        (b'{"texts": [1]}', 400, "texts[0] must be a string, or an object"),
        (b'{"texts": [null]}', 400, "texts[0] must be a string, or an object"),
        (b'{"texts": [["good", "bad"]]}', 400, "texts[0] must be a string, or an object"),
        (b'{"texts": [{"text": "good"}]}', 400, "texts[0] must be a string, or an object"),
        (b'{"texts": [{"text": "good", "text_pair": 1}]}', 400, "texts[0] must be a string, or an object"),
        (b'{"texts": ["a", {"premise": "good", "hypothesis": "bad"}]}', 400, "texts[1] must be a string, or an object"),
        (b'{"texts": [{"text": "good", "text_pair": "bad", "more": 1}]}', 400, "texts[0] must be a string"),
        (b'{"texts": [{"text": "good", "text_pair": ""}]}', 400, "texts[0] is empty"),
        (b'{"text": "good"}', 400, 'a JSON object with the key "texts"'),
        (b'{"texts": ["good"], "top_k": 3}', 400, "the only keys"),
        (b'{"texts": ["good"], "all_scores": 1}', 400, "must be true or false"),
        (b'{"texts": ["\\ud800"]}', 400, "no valid JSON"),
        (b'{"texts": ["\xff"]}', 400, "no valid JSON"),
        (b'{"texts": NaN}', 400, "no valid JSON"),
        (b"[" * 100_000, 400, "nests too deeply"),
        (b'{"texts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "nests too deeply"),
        (json.dumps({"texts": ["good"] * 257}).encode(), 413, "more than the 256"),
        (json.dumps({"texts": ["good " * 300_000]}).encode(), 413, "larger than 1048576 bytes"),
    ],
)
def test_bad_texts_are_refused_with_the_reason(text_server: Server, body: bytes, status: int, says: str) -> None:
    got, answer = ask(text_server, body)
    assert got == status
    assert set(answer) == {"error"}
    assert says in answer["error"]


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("application/vnd.bentoml+pickle", {}),
        ("application/octet-stream", {}),
        ("multipart/form-data; boundary=x", {}),
        ("application/json", {"Content-Encoding": "gzip"}),
    ],
)
def test_nothing_but_plain_json_is_read(text_server: Server, content_type: str, headers: dict[str, str]) -> None:
    assert ask(text_server, b'{"texts": ["good"]}', content_type, **headers)[0] == 415


@pytest.mark.parametrize("coding", ["Identity", "identity ", ""])
def test_a_body_that_says_it_is_not_compressed_is_read(text_server: Server, coding: str) -> None:
    assert ask(text_server, b'{"texts": ["good"]}', **{"Content-Encoding": coding})[0] == 200


def test_no_path_of_bentoml_reads_a_request(text_server: Server) -> None:
    assert text_server.get("/schema.json")["routes"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/predict", 405, "POST"),
        ("HEAD", "/predict", 405, "POST"),
        ("POST", "/metadata", 405, "GET, HEAD"),
        ("POST", "/livez", 405, "GET"),
        ("DELETE", "/metrics", 405, "GET"),
        ("GET", "/nothing", 404, None),
        ("POST", "/nothing", 404, None),
        ("GET", "/static_content/nothing.css", 404, None),
        ("HEAD", "/metadata", 200, None),
        ("HEAD", "/docs.json", 200, None),
    ],
)
def test_every_path_and_method_gets_json(
    text_server: Server, method: str, path: str, status: int, allowed: str | None
) -> None:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(text_server.url).netloc, timeout=30)
    with closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        content = answer.read()
        assert (answer.status, answer.headers["Content-Type"]) == (status, "application/json")
        assert allowed is None or allowed in answer.headers["Allow"]
        assert int(answer.headers["Content-Length"]) > 0
        if method == "HEAD":
            assert content == b""
        else:
            assert set(json.loads(content)) == {"error"}
        connection.request("GET", "/livez")  # nothing is left over on the connection
        assert connection.getresponse().status == 200


def test_an_upload_and_its_base64_get_the_answer_of_the_artifact(image_server: Server, image_onnx: Artifact) -> None:
    task = open_task(image_onnx)
    wanted = task.decode(open_session(image_onnx).run(task.encode([PICTURE])))[0]
    flag = b'--cut\r\nContent-Disposition: form-data; name="all_scores"\r\n\r\ntrue\r\n'
    body, content_type = form(encoded(PICTURE), encoded(PICTURE[::-1]))
    status, uploaded = ask(image_server, flag + body, content_type)
    assert status == 200
    assert len(uploaded) == 2
    assert uploaded[0]["scores"] == pytest.approx(wanted.scores, abs=1e-5)
    (as_json,) = image_server.post("/predict", {"images": [_base64(PICTURE)], "all_scores": True})
    assert as_json["scores"] == pytest.approx(wanted.scores, abs=1e-5)
    assert as_json["label"] == uploaded[0]["label"] == wanted.label


def _bomb() -> bytes:
    file = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (*form(b"no picture"), "images[0]"),
        (*form(encoded(PICTURE), encoded(PICTURE)[:200]), "images[1]"),
        (*form(b""), "not an image"),
        (*form(_bomb()), "10000 x 10000 pixels"),
        (*form(encoded(np.zeros((1, 500, 3), np.uint8))), "100 times as long"),
        (*form(encoded(PICTURE), field="image"), "the only fields"),
        (*form(), "at least one image"),
        (form()[0], "multipart/form-data", "the form cannot be read"),
        (encoded(PICTURE), "multipart/form-data; boundary=cut", "the form cannot be read"),
        (b'{"images": []}', "application/json", "at least one image"),
        (b'{"images": ["http://127.0.0.1/x.png"]}', "application/json", "base64"),
        (b'{"images": ["\xc3\xa4"]}', "application/json", "base64"),
        (b'{"images": ["aGVsbG8="]}', "application/json", "not an image"),
        (b'{"images": [{}]}', "application/json", "base64"),
        (b'{"texts": ["good"]}', "application/json", 'the key "images"'),
    ],
)
def test_bad_images_are_refused_with_the_reason(
    image_server: Server, body: bytes, content_type: str, says: str
) -> None:
    status, answer = ask(image_server, body, content_type)
    assert status == 400
    assert says in answer["error"]


def test_metrics_count_by_task_and_label(text_server: Server) -> None:
    def value(name: str) -> float:
        with urllib.request.urlopen(f"{text_server.url}/metrics") as answer:
            found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", answer.read().decode(), re.MULTILINE)
        return sum(float(number) for labels, number in found if 'task="text-classification"' in labels)

    names = ("ftc_answers_total", "ftc_request_seconds_count", "ftc_input_length_count", "ftc_truncated_texts_total")
    before = {name: value(name) for name in names}
    text_server.post("/predict", {"texts": ["good", "bad " * 100]})
    ask(text_server, b"[]")
    assert {name: value(name) - before[name] for name in names} == dict(zip(names, (2, 2, 2, 1), strict=True))


def test_what_clients_do_wrong_leaves_no_traceback_in_the_log(text_onnx: Artifact, tmp_path: Path) -> None:
    stage(text_onnx, Settings(), tmp_path)
    with serving("serve.service:FtcService", tmp_path, home=tmp_path) as server:
        server.wait_until_ready()
        address = urllib.parse.urlsplit(server.url)
        for _ in range(3):
            with socket.create_connection((str(address.hostname), int(address.port or 0))) as client:
                client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        ask(server, b"\x80\x04N.", "application/vnd.bentoml+pickle")
        ask(server, b"[]")
        server.post("/predict", {"texts": ["a secret of our client"]})
    log = (tmp_path / "log").read_text()
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    asked = [event for event in events if event["event"] == "predict"]
    assert {event["status"] for event in asked} == {200, 400, 415}
    assert asked[-1]["rows"] == 1
    assert [event["event"] for event in events if event["event"] != "predict"] == ["started", "stopped"]
    assert "secret" not in log
    assert "Traceback" not in log
    assert "ERROR" not in log


def damaged_tiff() -> bytes:
    """One that Pillow warns of."""
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "TIFF")
    return file.getvalue()[:-20]


def test_images_of_other_kinds_are_answered_and_damaged_ones_leave_no_line_in_the_log(
    image_onnx: Artifact, tmp_path: Path
) -> None:
    kinds = {"CMYK": "JPEG", "L": "PNG", "P": "GIF", "LA": "PNG", "RGBA": "WEBP", "1": "TIFF", "I;16": "PNG"}
    files = []
    for mode, kind in kinds.items():
        file = io.BytesIO()
        picture = (
            Image.fromarray(PICTURE) if mode != "I;16" else Image.fromarray(PICTURE[..., 0].astype(np.uint16) * 257)
        )
        (picture if mode == "I;16" else picture.convert(mode)).save(file, kind)
        files.append(file.getvalue())
    frames = [Image.fromarray(np.roll(PICTURE, shift, 0)) for shift in range(3)]
    animated = io.BytesIO()
    frames[0].save(animated, "PNG", save_all=True, append_images=frames[1:])
    stage(image_onnx, Settings(), tmp_path)
    with serving("serve.service:FtcService", tmp_path, home=tmp_path) as server:
        server.wait_until_ready()
        status, answers = ask(server, *form(*files, animated.getvalue(), encoded(PICTURE)))
        assert (status, len(answers)) == (200, len(kinds) + 2)
        assert answers[-2] == answers[-1], "of an animated image the first picture counts"
        for damaged in (damaged_tiff(), files[0][:300]):
            assert ask(server, *form(damaged))[0] == 400
        assert ask(server, b"--cut\rsecret", "multipart/form-data; boundary=cut")[0] == 400
    lines = (tmp_path / "log").read_text().splitlines()
    assert not [line for line in lines if re.search("PIL|Warning|boundary|secret|Traceback", line)]


def _base64(image: np.ndarray) -> str:
    return base64.b64encode(encoded(image)).decode()
