"""Bodies that do not come, or come slowly, keep nobody else from an answer."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ftc.artifact import Artifact
from serve import body
from serve.body import Bodies
from serve.bundle import Settings
from serve.context import stage
from serve.refusal import Refusal
from tests.serve.conftest import serving

ANSWER_S = 30.0


@contextmanager
def half_sent(url: str, length: int = 1000) -> Iterator[socket.socket]:
    """A connection with the head of a request, and one byte of its body."""
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), ANSWER_S) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{" % length)
        yield client


@contextmanager
def few_files(most: int) -> Iterator[None]:
    """Processes that are started meanwhile have this soft limit of open files, and may raise it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_good_requests_are_answered_while_many_others_hang(text_onnx: Artifact, tmp_path: Path) -> None:
    stage(text_onnx, Settings(max_items=2, max_queue=150), tmp_path)
    with ExitStack() as stack:
        with few_files(128):
            server = stack.enter_context(serving("serve.service:FtcService", tmp_path, home=tmp_path))
        server.wait_until_ready()
        hanging = [stack.enter_context(half_sent(server.url)) for _ in range(200)]
        for _ in range(10):
            assert len(server.post("/predict", {"texts": ["good", "bad"]})) == 2
        # no more than the queue holds are let hang; the others have heard so, and their connections are closed
        first = hanging[0].makefile("rb").read()
        assert first.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1\r\n" in first
        late = hanging[-1]
        late.sendall(b'"texts": "good"' + b" " * 983 + b"}")
        assert late.recv(2**16).startswith(b"HTTP/1.1 200")


class Sent:
    """A client that sends what it is told to, and then no more."""

    def __init__(self, *parts: bytes, ends: bool) -> None:
        self._parts, self._ends = list(parts), ends
        self.told = asyncio.Event()

    async def __call__(self) -> dict[str, Any]:
        if not self._parts:
            await self.told.wait()
        part = self._parts.pop(0) if self._parts else b""
        return {"type": "http.request", "body": part, "more_body": bool(self._parts) or not self._ends}


async def _read(bodies: Bodies, sent: Sent, hold: asyncio.Event | None = None) -> bytes:
    async with bodies.read(sent, {}) as raw:
        if hold is not None:
            await hold.wait()
        return raw


async def _hanging(bodies: Bodies, count: int, part: bytes) -> list[asyncio.Task[bytes]]:
    tasks = [asyncio.create_task(_read(bodies, Sent(part, ends=False))) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def _end(tasks: list[asyncio.Task[bytes]]) -> list[bytes | BaseException]:
    await asyncio.sleep(0.05)  # those that gave way wake up
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_too_many_bodies_at_once_push_out_those_that_hang_for_longest() -> None:
    async def main() -> None:
        bodies = Bodies(1000, most=3)
        hanging = await _hanging(bodies, 3, b"x")
        assert await _read(bodies, Sent(b"good", ends=True)) == b"good"
        assert await _read(bodies, Sent(b"go", b"od", ends=True)) == b"good"
        ended = await _end(hanging)
        assert [type(each) for each in ended] == [Refusal, asyncio.CancelledError, asyncio.CancelledError]

    asyncio.run(main())


def test_too_many_bytes_push_out_what_arrives_and_not_what_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MOST_BYTES", 1000)
    monkeypatch.setattr(body, "MOST_LARGEST", 1)

    async def main() -> None:
        bodies, hold = Bodies(600, most=100), asyncio.Event()
        hanging = await _hanging(bodies, 1, b"x" * 500)
        whole = asyncio.create_task(_read(bodies, Sent(b"y" * 600, ends=True), hold))
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await _read(bodies, Sent(b"z" * 500, ends=True))
        assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
        hold.set()
        assert await whole == b"y" * 600
        (ended,) = await _end(hanging)
        assert isinstance(ended, Refusal)
        assert await _read(bodies, Sent(b"z" * 500, ends=True)) == b"z" * 500, "all that was held is given back"

    asyncio.run(main())


def test_what_is_too_large_holds_no_bytes_while_it_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MOST_BYTES", 1000)
    monkeypatch.setattr(body, "MOST_LARGEST", 1)

    async def main() -> None:
        bodies = Bodies(600, most=100)
        hanging = await _hanging(bodies, 5, b"x" * 700)
        assert await _read(bodies, Sent(b"z" * 600, ends=True)) == b"z" * 600
        assert all(isinstance(each, asyncio.CancelledError) for each in await _end(hanging))

    asyncio.run(main())
