"""The body of a request, no more of it and no later than is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from serve.refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import Receive

ARRIVAL_S = 20.0
"""A body that has not arrived by then is given up, so that slow clients do not hold places for ever."""

_DISCARDED = 4
"""Times the limit that is read and thrown away, so that most clients get to see why they were refused."""


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit_bytes: int) -> bytes:
    """The whole body.

    :raises Refusal: 413 above `limit_bytes`, 408 if it comes too slowly, 400 if the client leaves in the middle,
        415 if it is compressed
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refusal(415, "compressed bodies are not taken: send it without Content-Encoding")
    declared = headers.get(b"content-length", b"")
    too_large = Refusal(413, f"the body is larger than {limit_bytes} bytes, which is the most this service takes")
    if declared.isdigit() and len(declared) < 20 and int(declared) > _DISCARDED * limit_bytes:
        raise too_large
    parts: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(ARRIVAL_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "the connection was closed before the whole body had come")
                part = message.get("body", b"")
                size_bytes += len(part)
                if size_bytes <= limit_bytes:
                    parts.append(part)
                elif size_bytes > _DISCARDED * limit_bytes:
                    raise too_large
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise Refusal(408, f"the body did not arrive within {ARRIVAL_S:.0f} s") from error
    if size_bytes > limit_bytes:
        raise too_large
    return parts[0] if len(parts) == 1 else b"".join(parts)
