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

from ftc.errors import InputError
from serve import access, body, journal
from serve.openapi import PAGE
from serve.refusal import Refusal
from serve.request import FORM_TYPE, Asked, media_type

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ftc.tasks.classification import Prediction
    from ftc.tasks.encoding import Encoded
    from serve.inside import Inside

_OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz"})
"""Probes carry no key."""

_JSON = b"application/json"

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
        inside, told = self._inside, dict[str, Any]()
        try:
            answer = await self._answered(scope, receive, told)
            status = 200
            await _send(send, status, answer)
        except Refusal as refusal:
            status, told["reason"] = refusal.status, refusal.message
            await _send_refusal(send, refusal)
        except Exception as error:  # the client must hear that it failed, and the log why
            status = 500
            journal.failed("predict", error)
            await _send(send, status, _json({"error": "the service failed; its log says why"}))
        took_s = time.perf_counter() - begun_s
        inside.metrics.request(status, took_s)
        journal.write("predict", status=status, took_ms=round(1e3 * took_s, 2), **told)

    async def _answered(self, scope: Scope, receive: Receive, told: dict[str, Any]) -> bytes:
        headers, inside = dict(scope["headers"]), self._inside
        access.check(headers, self._key)
        _require_method(scope, "POST")
        if inside.wrong is not None:
            raise Refusal(503, "the model does not answer as it should; see the service's log", 60)
        with inside.engine.place():
            raw = await body.read(receive, headers, inside.max_body_bytes)
            asked, rows = await self._prepared(raw, headers)
            with inside.engine.place(len(rows) - 1):
                predictions = await inside.engine.answer(rows)
        inside.count(rows, predictions)
        told |= {"rows": len(rows), "longest": max(row.length for row in rows)}
        return answers_json(rows, predictions, is_text=inside.is_text, all_scores=asked.all_scores)

    async def _prepared(self, raw: bytes, headers: Mapping[bytes, bytes]) -> tuple[Asked, list[Encoded]]:
        kind, inside = media_type(headers), self._inside
        if inside.is_text and len(raw) <= _INLINE_BYTES:
            return _encoded(inside, raw, kind)
        loop = asyncio.get_running_loop()
        if inside.is_text or kind != FORM_TYPE:
            return await loop.run_in_executor(self._threads, _encoded, inside, raw, kind)
        from serve.images import read_form

        files, all_scores = await read_form(raw, headers, inside.settings.max_items)
        return await loop.run_in_executor(self._threads, _encoded_files, inside, files, all_scores)


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


def _encoded(inside: Inside, raw: bytes, kind: str) -> tuple[Asked, list[Encoded]]:
    most = inside.settings.max_items
    if not inside.is_text:
        from serve.images import read_base64

        return _encoded_files(inside, *read_base64(raw, kind, most))
    from serve.texts import read_texts

    return _rows(inside, read_texts(raw, kind, most))


def _encoded_files(inside: Inside, files: Sequence[bytes], all_scores: bool) -> tuple[Asked, list[Encoded]]:
    from serve.images import decoded

    return _rows(inside, decoded(files, all_scores, inside.settings.max_items))


def _rows(inside: Inside, asked: Asked) -> tuple[Asked, list[Encoded]]:
    try:
        return asked, inside.model.task.encode_each(asked.examples)
    except InputError as error:
        raise Refusal(400, str(error)) from error


def _require_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise Refusal(405, f"this path takes {method} alone")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


async def _send_refusal(send: Send, refusal: Refusal) -> None:
    headers = [(b"content-type", _JSON)]
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await _send(send, refusal.status, _json({"error": refusal.message}), headers)


async def _send(
    send: Send, status: int, content: bytes, more: Sequence[tuple[bytes, bytes]] = ((b"content-type", _JSON),)
) -> None:
    headers = [(b"content-length", str(len(content)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
