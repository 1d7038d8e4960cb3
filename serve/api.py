"""`/predict`, `/metadata` and the OpenAPI page, answered before BentoML's own layers see the request.

BentoML wraps every endpoint in tracing, timers, counters and two routers, which took longer than the model.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from serve import access, body, journal, reading
from serve.openapi import PAGE
from serve.refusal import Refusal
from serve.request import Asked
from serve.split import VARIANT

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ftc.tasks.classification import Prediction
    from ftc.tasks.encoding import Encoded
    from serve.inside import Inside
    from serve.variant import Variant

_OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz"})
"""Probes carry no key."""

_JSON = b"application/json"
_JSON_HEADERS = [(b"content-type", _JSON)]

_INLINE_BYTES = 4096
"""A body of texts up to this size is read and encoded at once; giving it to a thread takes longer."""


class Api:
    """An ASGI application around BentoML's, which gets everything that is none of its own paths."""

    def __init__(self, bento: ASGIApp, inside: Inside, about: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        """:param about: what `/metadata` says
        :param document: the OpenAPI description
        """
        self._bento, self._inside = bento, inside
        self._pages = {
            "/": (PAGE, b"text/html"),
            "/metadata": (_json(about), _JSON),
            "/docs.json": (_json(document), _JSON),
        }
        self._key = access.required_key()
        self._threads = ThreadPoolExecutor(inside.preparing_threads, "prepare")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every failure becomes an answer, too."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path in _OPEN_PATHS:
            await self._bento(scope, receive, send)
            return
        if path == "/predict":
            await self._predict(scope, receive, send)
            return
        try:
            access.check(dict(scope["headers"]), self._key)
            if path in self._pages:
                _require_method(scope, "GET")
                content, kind = self._pages[path]
                await _send(send, 200, content, [(b"content-type", kind)])
                return
        except Refusal as refusal:
            await _send_refusal(send, refusal)
            return
        await self._bento(scope, receive, send)

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun_s = time.perf_counter()
        inside, told, headers = self._inside, dict[str, Any](), dict(scope["headers"])
        variant, more = inside.chosen(headers), _JSON_HEADERS
        if inside.names is not None:
            told["variant"] = variant.name
            more = [*_JSON_HEADERS, (VARIANT, variant.header)]
        try:
            answer = await self._answered(scope, receive, headers, variant, told)
            status = 200
            await _send(send, status, answer, more)
        except Refusal as refusal:
            status, told["reason"] = refusal.status, refusal.message
            await _send_refusal(send, refusal)
        except Exception as error:  # the client must hear that it failed, and the log why
            status = 500
            journal.failed("predict", error)
            await _send(send, status, _json({"error": "the service failed; its log says why"}))
        took_s = time.perf_counter() - begun_s
        variant.metrics.request(status, took_s)
        journal.write("predict", status=status, took_ms=round(1e3 * took_s, 2), **told)

    async def _answered(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], variant: Variant, told: dict[str, Any]
    ) -> bytes:
        inside, engine = self._inside, variant.engine
        access.check(headers, self._key)
        _require_method(scope, "POST")
        if variant.wrong is not None:
            raise Refusal(503, "the model does not answer as it should; see the service's log", 60)
        with engine.place():
            raw = await body.read(receive, headers, inside.max_body_bytes)
            asked, rows = await self._prepared(raw, headers, variant)
            with engine.place(len(rows) - 1):
                predictions = await engine.answer(rows)
        variant.count(rows, predictions)
        told |= {"rows": len(rows), "longest": max(row.length for row in rows)}
        if inside.shadow is not None:
            inside.shadow.offer(raw, headers.get(b"content-type", b""), predictions)
        return answers_json(rows, predictions, is_text=inside.is_text, all_scores=asked.all_scores)

    async def _prepared(
        self, raw: bytes, headers: Mapping[bytes, bytes], variant: Variant
    ) -> tuple[Asked, list[Encoded]]:
        is_text, most = self._inside.is_text, self._inside.settings.max_items

        def prepare() -> tuple[Asked, list[Encoded]]:
            asked = reading.read(is_text, raw, headers, most)
            return asked, reading.encoded(variant.model.task, asked)

        if is_text and len(raw) <= _INLINE_BYTES:
            return prepare()
        loop = asyncio.get_running_loop()
        if not reading.is_form(is_text, headers):
            return await loop.run_in_executor(self._threads, prepare)
        from serve.images import read_form

        files, all_scores = await read_form(raw, headers, most)

        def prepare_files() -> tuple[Asked, list[Encoded]]:
            asked = reading.read_files(files, all_scores, most)
            return asked, reading.encoded(variant.model.task, asked)

        return await loop.run_in_executor(self._threads, prepare_files)


def answers_json(
    rows: Sequence[Encoded], predictions: Sequence[Prediction], *, is_text: bool, all_scores: bool
) -> bytes:
    """The body of an answer: a list with an object for each row, in their order."""
    answers = []
    for row, prediction in zip(rows, predictions, strict=True):
        answer: dict[str, Any] = {"label": prediction.label, "score": prediction.score}
        if is_text:
            answer["truncated"] = row.truncated
        if all_scores:
            answer["scores"] = prediction.scores
        answers.append(answer)
    return _json(answers)


def _require_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise Refusal(405, f"this path takes {method} alone")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


async def _send_refusal(send: Send, refusal: Refusal) -> None:
    headers = list(_JSON_HEADERS)
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await _send(send, refusal.status, _json({"error": refusal.message}), headers)


async def _send(send: Send, status: int, content: bytes, more: Sequence[tuple[bytes, bytes]] = _JSON_HEADERS) -> None:
    headers = [(b"content-length", str(len(content)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
