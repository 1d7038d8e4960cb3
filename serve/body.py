"""The bodies of requests: no more of them, and no later, than is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from serve.refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import Receive

ARRIVAL_S = 20.0
"""A body that has not arrived by then is given up, so that slow clients do not hold memory for ever."""

MOST_BYTES = 2**26
MOST_LARGEST = 32
"""Bytes of all bodies together: so many, or so many of the largest that is allowed, whichever is more."""

_DISCARDED = 4
"""Times the limit that is read and thrown away, so that most clients get to see why they were refused."""

_CLOSES = ((b"connection", b"close"),)
"""What may still come of a body that was given up would keep its connection open."""


@dataclass(slots=True, eq=False)
class _Arrival:
    limit: asyncio.Timeout
    parts: list[bytes] = field(default_factory=list)
    held_bytes: int = 0
    gave_way: bool = False


class Bodies:
    """Bodies that arrive or are being answered; while they arrive they hold no place in the queue.

    Where too many arrive, or all together have too many bytes, the one that has been arriving for longest gives way. A
    body that comes with its head is never that one, however many others hang.
    """

    def __init__(self, limit_bytes: int, most: int) -> None:
        """:param limit_bytes: the largest body
        :param most: that arrive at the same time
        """
        self._limit_bytes, self._most = limit_bytes, most
        self._most_bytes = max(MOST_BYTES, MOST_LARGEST * limit_bytes)
        self._held_bytes = 0
        self._arriving: dict[_Arrival, None] = {}  # in the order in which they began

    @asynccontextmanager
    async def read(self, receive: Receive, headers: Mapping[bytes, bytes]) -> AsyncIterator[bytes]:
        """The whole body; its bytes count until the block is left.

        :raises Refusal: 413 above the limit, 408 if it comes too slowly, 503 if it gave way, 400 if the client leaves
            in the middle, 415 if it is compressed
        """
        if headers.get(b"content-encoding", b"").strip().lower() not in (b"", b"identity"):
            raise Refusal(415, "compressed bodies are not taken: send it without Content-Encoding")
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and len(declared) < 20 and int(declared) > _DISCARDED * self._limit_bytes:
            raise self._too_large()
        arrival = _Arrival(asyncio.timeout(ARRIVAL_S))
        self._arriving[arrival] = None
        try:
            raw = await self._whole(arrival, receive)
            del self._arriving[arrival]
            yield raw
        finally:
            self._arriving.pop(arrival, None)
            self._release(arrival)

    async def _whole(self, arrival: _Arrival, receive: Receive) -> bytes:
        size_bytes, more = 0, True
        try:
            async with arrival.limit:
                self._make_room()
                while more and not arrival.gave_way:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the connection was closed before the whole body had come")
                    part, more = message.get("body", b""), message.get("more_body", False)
                    size_bytes += len(part)
                    if size_bytes > _DISCARDED * self._limit_bytes:
                        raise self._too_large()
                    if size_bytes > self._limit_bytes:
                        self._release(arrival)
                        continue
                    arrival.parts.append(part)
                    arrival.held_bytes += len(part)
                    self._held_bytes += len(part)
                    self._make_room()
        except TimeoutError as error:
            if not arrival.gave_way:
                raise Refusal(408, f"the body did not arrive within {ARRIVAL_S:.0f} s", headers=_CLOSES) from error
        if arrival.gave_way:
            raise Refusal(503, "too many bodies are arriving, and this one for longest; try again later", 1, _CLOSES)
        if size_bytes > self._limit_bytes:
            raise self._too_large()
        raw = arrival.parts[0] if len(arrival.parts) == 1 else b"".join(arrival.parts)
        arrival.parts.clear()
        return raw

    def _make_room(self) -> None:
        while self._arriving and (len(self._arriving) > self._most or self._held_bytes > self._most_bytes):
            oldest = next(iter(self._arriving))
            del self._arriving[oldest]
            self._release(oldest)
            oldest.gave_way = True
            oldest.limit.reschedule(asyncio.get_running_loop().time())  # wakes it up

    def _release(self, arrival: _Arrival) -> None:
        self._held_bytes -= arrival.held_bytes
        arrival.held_bytes = 0
        arrival.parts.clear()

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self._limit_bytes} bytes, which is the most this service takes")
