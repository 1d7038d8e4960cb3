"""What the API says when bodies come badly, the queue is full, or the model fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from ftc.artifact import Artifact
from ftc.errors import RunError
from serve import body
from serve.api import Api
from serve.bundle import Bundle, Settings
from serve.inside import Inside

Receive = Callable[[], Awaitable[dict[str, Any]]]
GOOD = b'{"texts": "good"}'


class Answer:
    """Collects what an application sends."""

    def __init__(self) -> None:
        self.status, self.headers, self.content = 0, dict[bytes, bytes](), b""

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        self.content += message.get("body", b"")


def parts(*chunks: bytes, ends: bool = True) -> Receive:
    """A body in pieces; without an end, the client goes silent after them."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        if not ends:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


@pytest.fixture(scope="module")
def inside(text_int8: Artifact) -> Inside:
    return Inside(Bundle(text_int8, Settings(threads=1, max_items=3, max_queue=3, max_body_bytes=1000)))


async def _nothing(*_: Any) -> None:
    raise AssertionError("BentoML is not asked")


def asked(inside: Inside, receive: Receive, headers: Sequence[tuple[bytes, bytes]] = (), fill: int = 0) -> Answer:
    async def main() -> Answer:
        if not hasattr(inside, "first"):
            inside.open()
            inside.first.engine.close()
        inside.first.engine = inside.first.new_engine()
        inside.first.engine.start()
        answer = Answer()
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": list(headers)}
        try:
            with inside.first.engine.place(fill):
                await Api(_nothing, inside, {})(scope, receive, answer)
        finally:
            await asyncio.to_thread(inside.first.engine.close)
        return answer

    return asyncio.run(main())


def test_a_body_in_pieces_is_one_body(inside: Inside) -> None:
    answer = asked(inside, parts(GOOD[:5], b"", GOOD[5:]))
    assert answer.status == 200
    assert json.loads(answer.content)[0]["label"] in ("negative", "positive")


@pytest.mark.parametrize(
    ("receive", "headers", "status"),
    [
        (parts(b"x" * 600, b"x" * 600), [], 413),
        (parts(*[b"x" * 600] * 100, ends=False), [], 413),
        (parts(), [(b"content-length", b"99999")], 413),
        (parts(GOOD), [(b"content-encoding", b"br")], 415),
    ],
)
def test_what_is_too_large_or_compressed_is_refused(
    inside: Inside, receive: Receive, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    assert asked(inside, receive, headers).status == status


def test_a_client_that_goes_silent_loses_its_place(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "ARRIVAL_S", 0.05)
    assert asked(inside, parts(b'{"texts"', ends=False)).status == 408


def test_a_client_that_leaves_is_no_failure(inside: Inside) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert asked(inside, receive).status == 400


@pytest.mark.parametrize(("fill", "texts"), [(3, ["good"]), (1, ["good"] * 3)])
def test_a_full_queue_answers_503_with_retry_after(inside: Inside, fill: int, texts: list[str]) -> None:
    answer = asked(inside, parts(json.dumps({"texts": texts}).encode()), fill=fill)
    assert answer.status == 503
    assert int(answer.headers[b"retry-after"]) >= 1
    assert asked(inside, parts(GOOD), fill=2).status == 200


def test_a_model_that_fails_is_told_to_the_log_alone(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from serve import journal

    asked(inside, parts(GOOD))  # opens it, if no other test has

    def fails(_: object) -> dict[str, Any]:
        raise RunError("a reason from inside")

    journal.begin(quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(type(inside.first.model.session), "run", lambda *_: fails(None))
        answer = asked(inside, parts(b'{"texts": "our secret"}'))
    assert answer.status == 500
    assert b"reason" not in answer.content
    log = capsys.readouterr().out
    assert "a reason from inside" in log
    assert "secret" not in log
    assert asked(inside, parts(GOOD)).status == 200


def test_a_model_that_answers_wrongly_is_not_asked(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(inside, parts(GOOD))
    monkeypatch.setattr(inside.first, "wrong", "golden example 0: wrong")
    answer = asked(inside, parts(GOOD))
    assert (answer.status, answer.headers[b"retry-after"]) == (503, b"60")
