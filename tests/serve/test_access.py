"""A key that is set must be carried by every request but the probes."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ftc.artifact import Artifact
from ftc.errors import InputError
from serve import access
from serve.bundle import Settings
from serve.context import stage
from serve.example import curl
from serve.refusal import Refusal
from tests.serve.conftest import serving


@pytest.mark.parametrize(
    "headers",
    [{b"x-api-key": b"right"}, {b"authorization": b"Bearer right"}, {b"authorization": b"bearer  right"}],
)
def test_the_right_key_opens(headers: dict[bytes, bytes]) -> None:
    access.check(headers, b"right")


@pytest.mark.parametrize(
    "headers",
    [{}, {b"x-api-key": b"righ"}, {b"x-api-key": b""}, {b"authorization": b"Basic right"}, {b"x-api-key": b"\xff"}],
)
def test_any_other_is_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Refusal) as refused:
        access.check(headers, b"right")
    assert refused.value.status == 401


def test_an_empty_key_is_an_error_not_an_open_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(access.VARIABLE, " ")
    with pytest.raises(InputError, match="set, but empty"):
        access.required_key()


@pytest.mark.parametrize("key", ["ключ", "two\nlines", "tab\tbed"])
def test_a_key_that_no_header_can_carry_is_an_error_that_does_not_show_it(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(access.VARIABLE, key)
    with pytest.raises(InputError, match="printable ASCII") as raised:
        access.required_key()
    assert key not in str(raised.value)


def test_the_printed_request_carries_the_key_without_showing_it() -> None:
    printed = curl("text-classification", "http://127.0.0.1:3000", needs_key=True)
    assert '-H "X-API-Key: $FTC_API_KEY"' in printed
    assert "X-API-Key" not in curl("text-classification", "http://127.0.0.1:3000")


def test_every_page_but_the_probes_asks_for_the_key(
    text_onnx: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(access.VARIABLE, "right")
    stage(text_onnx, Settings(), tmp_path)
    with serving("serve.service:FtcService", tmp_path, home=tmp_path) as server:
        server.wait_until_ready()
        assert len(server.post("/predict", {"texts": "good"})) == 1  # carries the key of the environment
        assert server.get("/metadata")["task"] == "text-classification"
        for path, body in (("/predict", b'{"texts": "good"}'), ("/metadata", None), ("/metrics", None), ("/", None)):
            request = urllib.request.Request(server.url + path, body)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request)
            assert refused.value.code == 401
        with urllib.request.urlopen(f"{server.url}/livez") as answer:
            assert answer.status == 200
