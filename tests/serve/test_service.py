"""A running service: right answers, batches across requests, and no bad input that ends in a 500."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ftc.artifact import Artifact
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks.task import open_task
from serve.bundle import Settings
from serve.context import stage
from serve.server import Server
from tests.serve.conftest import serving


def ask(server: Server, body: bytes, content_type: str = "application/json") -> tuple[int, Any]:
    """Status and JSON of what `/predict` answers to any bytes."""
    request = urllib.request.Request(f"{server.url}/predict", body, {"Content-Type": content_type})
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


def test_one_text_gets_its_label_and_every_score(text_server: Server) -> None:
    (answer,) = text_server.post("/predict", {"texts": ["a charming journey"]})
    assert set(answer["scores"]) == {"negative", "positive"}
    assert sum(answer["scores"].values()) == pytest.approx(1)
    assert answer["score"] == answer["scores"][answer["label"]] == max(answer["scores"].values())


def test_json_that_curl_calls_a_form_is_understood(text_server: Server) -> None:
    status, answers = ask(text_server, b'{"texts": ["good"]}', "application/x-www-form-urlencoded")
    assert status == 200
    assert len(answers) == 1


def test_a_pair_is_encoded_as_a_pair(text_server: Server, text_int8: Artifact) -> None:
    (answer,) = text_server.post("/predict", {"texts": [{"text": "good film", "text_pair": "bad battery"}]})
    task = open_task(text_int8)
    outputs = open_session(text_int8, SessionOptions(1)).run(task.encode([("good film", "bad battery")]))
    assert answer["scores"] == pytest.approx(task.decode(outputs)[0].scores, abs=1e-5)


def test_a_list_longer_than_a_batch_is_answered_in_its_order(image_server: Server, text_server: Server) -> None:
    pictures = [np.full((32, 32, 3), 6 * number, np.uint8) for number in range(40)]
    alone = [image_server.post("/predict", {"images": [_base64(p)]})[0]["score"] for p in pictures]
    together = image_server.post("/predict", {"images": [_base64(p) for p in pictures]})
    assert [answer["score"] for answer in together] == pytest.approx(alone, abs=1e-5)
    assert len(text_server.post("/predict", {"texts": ["good"] * 21})) == 21


def test_concurrent_requests_share_batches(text_server: Server) -> None:
    before = _batches_run(text_server)

    def one(number: int) -> int:
        return len(text_server.post("/predict", {"texts": ["good film"] * (1 + number % 3)}))

    with ThreadPoolExecutor(24) as pool:
        lengths = list(pool.map(one, range(96)))
    assert lengths == [1 + number % 3 for number in range(96)]
    assert _batches_run(text_server) - before < 96


def test_metadata_says_what_is_served(text_server: Server, text_int8: Artifact) -> None:
    about = text_server.get("/metadata")
    assert about == text_server.post("/metadata", {})
    assert about["id"] == text_int8.manifest.id
    assert about["labels"] == ["negative", "positive"]
    assert [step["step"] for step in about["lineage"]] == [None, "export-onnx", "quantize-onnx-dynamic"]
    assert (about["threads"], about["max_batch_size"], about["measured"]) == (1, 8, {"p50_ns": 5})


def test_openapi_types_the_request_and_shows_an_example(text_server: Server, image_server: Server) -> None:
    def schema(server: Server, kind: str) -> Any:
        return server.get("/docs.json")["paths"]["/predict"]["post"]["requestBody"]["content"][kind]["schema"]

    texts = schema(text_server, "application/json")["properties"]["texts"]
    assert texts["type"] == "array"
    assert text_server.post("/predict", {"texts": texts["example"]})
    images = schema(image_server, "multipart/form-data")["properties"]["images"]
    assert images["items"] == {"type": "string", "format": "binary"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "Field required"),
        (b"texts", "Invalid JSON"),
        (b"[]", "should be an object"),
        (b'{"texts": []}', "at least 1 item"),
        (b'{"texts": "good"}', "valid array"),
        (b'{"texts": [""]}', "the text is empty"),
        (b'{"texts": ["good", " \\n"]}', "the text is empty"),
        (b'{"texts": [1]}', "an object with the keys 'text' and 'text_pair'"),
        (b'{"texts": [null]}', "an object with the keys 'text' and 'text_pair'"),
        (b'{"texts": [["good", "bad"]]}', "an object with the keys 'text' and 'text_pair'"),
        (b'{"texts": [{"text": "good"}]}', "an object with the keys 'text' and 'text_pair'"),
        (b'{"texts": [{"premise": "good", "hypothesis": "bad"}]}', "an object with the keys 'text' and 'text_pair'"),
        (b'{"texts": [{"text": "good", "text_pair": "bad", "more": 1}]}', "an object with the keys"),
        (b'{"texts": [{"text": "good", "text_pair": ""}]}', "the text is empty"),
        (b'{"text": "good"}', "not permitted"),
        (b'{"texts": ["good"], "top_k": 3}', "not permitted"),
        (b'{"texts": ["\\ud800"]}', "Invalid JSON"),
        (b'{"texts": ["\xff"]}', "Invalid JSON"),
    ],
)
def test_bad_texts_are_refused_with_the_reason(text_server: Server, body: bytes, says: str) -> None:
    status, answer = ask(text_server, body)
    assert status == 400
    assert says in json.dumps(answer)


def test_an_upload_and_its_base64_get_the_answer_of_the_artifact(image_server: Server, image_onnx: Artifact) -> None:
    task = open_task(image_onnx)
    wanted = task.decode(open_session(image_onnx).run(task.encode([PICTURE])))[0]
    status, uploaded = ask(image_server, *form(encoded(PICTURE), encoded(PICTURE[::-1])))
    assert status == 200
    assert len(uploaded) == 2
    assert uploaded[0]["scores"] == pytest.approx(wanted.scores, abs=1e-5)
    (as_json,) = image_server.post("/predict", {"images": [_base64(PICTURE)]})
    assert as_json["scores"] == pytest.approx(wanted.scores, abs=1e-5)
    assert as_json["label"] == uploaded[0]["label"] == wanted.label


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (*form(b"no picture"), '["images", 0]'),
        (*form(encoded(PICTURE), encoded(PICTURE)[:200]), '["images", 1]'),
        (*form(b""), "not an image"),
        (*form(encoded(PICTURE), field="image"), "Field required"),
        (form()[0], "multipart/form-data", "the form cannot be read"),
        (encoded(PICTURE), "multipart/form-data; boundary=cut", "the form cannot be read"),
        (b'{"images": []}', "application/json", "at least 1 item"),
        (b'{"images": ["http://127.0.0.1/x.png"]}', "application/json", "base64"),
        (b'{"images": ["aGVsbG8="]}', "application/json", "not an image"),
        (b'{"images": [{}]}', "application/json", "uploaded file"),
        (b'{"texts": ["good"]}', "application/json", "not permitted"),
    ],
)
def test_bad_images_are_refused_with_the_reason(
    image_server: Server, body: bytes, content_type: str, says: str
) -> None:
    status, answer = ask(image_server, body, content_type)
    assert status == 400
    assert says in json.dumps(answer)


def test_pickles_are_not_opened(text_server: Server) -> None:
    assert ask(text_server, b"\x80\x04N.", "application/vnd.bentoml+pickle")[0] == 415


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
        server.post("/predict", {"texts": ["good"]})
    log = (tmp_path / "log").read_text()
    assert "/predict" in log
    assert "Traceback" not in log
    assert "ERROR" not in log


def _batches_run(server: Server) -> float:
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        counts = re.findall(r"adaptive_batch_size_count\{.*\} (\S+)", answer.read().decode())
    return sum(map(float, counts))


def _base64(image: np.ndarray) -> str:
    return base64.b64encode(encoded(image)).decode()
