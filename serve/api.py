"""`/predict`, `/metadata` and the OpenAPI page, answered before BentoML's own layers see the request.

BentoML wraps every endpoint in tracing, timers, counters and two routers, which took longer than the model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from serve import access, journal, reading
from serve.answers import (
    JSON,
    JSON_HEADERS,
    predictions_json,
    refusing_in_json,
    send_refusal,
    send_whole,
    to_json,
)
from serve.body import Bodies
from serve.openapi import PAGE
from serve.refusal import Header, Refusal
from serve.request import Asked
from serve.split import VARIANT

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ftc.tasks.encoding import Encoded
    from serve.inside import Inside
    from serve.variant import Variant

_OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz"})
"""Probes carry no key."""

_INLINE_BYTES = 4096
"""A body of texts up to this size is read and encoded at once; giving it to a thread takes longer."""


class Api:
    """An ASGI application around BentoML's, which gets everything that is none of its own paths."""

    def __init__(self, bento: ASGIApp, inside: Inside, document: Mapping[str, Any]) -> None:
        """:param document: the OpenAPI description"""
        self._bento, self._inside = bento, inside
        described = to_json(document)
        self._pages: dict[str, tuple[Callable[[], bytes], bytes]] = {
            "/": (lambda: PAGE, b"text/html"),
            "/metadata": (lambda: to_json(inside.about()), JSON),
            "/docs.json": (lambda: described, JSON),
        }
        self._key = access.required_key()
        self._threads = ThreadPoolExecutor(inside.preparing_threads, "prepare")
        self._bodies = Bodies(inside.max_body_bytes, inside.settings.max_queue)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every failure becomes an answer, too."""
        path = scope.get("path", "")
        if scope["type"] != "http":
            await self._bento(scope, receive, send)
            return
        if path == "/predict":
            await self._predict(scope, receive, send)
            return
        try:
            if path not in _OPEN_PATHS:
                access.check(dict(scope["headers"]), self._key)
            if path in self._pages:
                _require_method(scope, "GET", "HEAD")
                content, kind = self._pages[path]
                await send_whole(send, 200, content(), [(b"content-type", kind)])
                return
        except Refusal as refusal:
            await send_refusal(send, refusal)
            return
        await self._bento(scope, receive, refusing_in_json(send))

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun_s = time.perf_counter()
        inside, told, headers = self._inside, dict[str, Any](), dict(scope["headers"])
        variant, more = inside.chosen(headers), list[Header]()
        if inside.names is not None:
            told["variant"] = variant.name
            more = [(VARIANT, variant.header)]
        try:
            answer = await self._answered(scope, receive, headers, variant, told)
            status = 200
            await send_whole(send, status, answer, [*JSON_HEADERS, *more])
        except Refusal as refusal:
            status, told["reason"] = refusal.status, refusal.message
            # whoever has no key is told nothing of the models
            await send_refusal(send, refusal, more if status != 401 else ())
        except Exception as error:  # the client must hear that it failed, and the log why
            status = 500
            journal.failed("predict", error)
            await send_refusal(send, Refusal(status, "the service failed; its log says why"), more)
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
        async with self._bodies.read(receive, headers) as raw:
            with engine.place():
                asked, rows = await self._prepared(raw, headers, variant)
                with engine.place(len(rows) - 1):
                    predictions = await engine.answer(rows)
        variant.count(rows, predictions)
        told |= {"rows": len(rows), "longest": max(row.length for row in rows)}
        if inside.shadow is not None:
            inside.shadow.offer(raw, headers.get(b"content-type", b""), predictions)
        return predictions_json(rows, predictions, is_text=inside.is_text, all_scores=asked.all_scores)

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


def _require_method(scope: Scope, *methods: str) -> None:
    if scope["method"] not in methods:
        allowed = ", ".join(methods)
        raise Refusal(405, f"this path takes {allowed} alone", headers=((b"allow", allowed.encode()),))
