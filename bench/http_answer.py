"""An HTTP answer, read as its bytes arrive (RFC 9112): in linear time and within bounds, whatever a service sends."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass

MOST_HEAD_BYTES = 2**16
MOST_BODY_BYTES = 2**26

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?", re.DOTALL)
_DIGITS = re.compile(rb"[0-9]{1,15}")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?", re.DOTALL)
_LINE, _HEAD = b"\r\n", b"\r\n\r\n"

Reading = Generator[None, bytes, "Answer"]
"""Sent the bytes that arrive, ends with the answer that they complete; raises `NotUnderstood`."""


class NotUnderstood(Exception):
    """What came is no HTTP answer that can be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """:param stays_open: whether the connection may be used again"""

    status: int
    body: bytes
    stays_open: bool


def reading() -> Reading:
    """One answer, ready to be sent its first bytes."""
    began = _answer()
    next(began)
    return began


def _answer() -> Reading:
    received = bytearray()
    status = 100
    while status < 200:  # of 1xx another one follows
        head = yield from _until(received, _HEAD, MOST_HEAD_BYTES, "head")
        status, stays_open, fields = _parsed(head)
    if status in (204, 304):
        body = b""
    elif b"transfer-encoding" in fields:
        if fields[b"transfer-encoding"].lower() != b"chunked":
            raise NotUnderstood(f"a transfer encoding of {_shown(fields[b'transfer-encoding'])}")
        body = yield from _chunks(received)
    else:
        body = yield from _exactly(received, _length(fields))
    if received:
        raise NotUnderstood("more bytes than the answer has")
    return Answer(status, body, stays_open)


def _until(received: bytearray, mark: bytes, most: int, what: str) -> Generator[None, bytes, bytes]:
    """Take what comes before a mark, and the mark."""
    searched = 0
    while (end := received.find(mark, searched, most)) < 0:
        if len(received) >= most:
            raise NotUnderstood(f"a {what} of more than {most} bytes")
        searched = max(0, len(received) - len(mark) + 1)
        received += yield
    taken = bytes(received[:end])
    del received[: end + len(mark)]
    return taken


def _exactly(received: bytearray, count: int) -> Generator[None, bytes, bytes]:
    while len(received) < count:
        received += yield
    taken = bytes(received[:count])
    del received[:count]
    return taken


def _chunks(received: bytearray) -> Generator[None, bytes, bytes]:
    body = bytearray()
    while True:
        line = yield from _until(received, _LINE, MOST_HEAD_BYTES, "chunk's line")
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise NotUnderstood(f"a chunk's line of {_shown(line)}")
        size = int(found[1], 16)
        if size == 0:
            break
        _require_fits(len(body) + size)
        body += yield from _exactly(received, size)
        if (yield from _exactly(received, len(_LINE))) != _LINE:
            raise NotUnderstood("a chunk that is longer than it says")
    trailer = 0
    while line := (yield from _until(received, _LINE, MOST_HEAD_BYTES, "trailer")):
        trailer += len(line)
        if trailer > MOST_HEAD_BYTES:
            raise NotUnderstood(f"a trailer of more than {MOST_HEAD_BYTES} bytes")
    return bytes(body)


def _parsed(head: bytes) -> tuple[int, bool, Mapping[bytes, bytes]]:
    """Status, whether the connection stays open, and the fields by their names in lower case."""
    first, *lines = head.split(_LINE)
    status_line = _STATUS_LINE.fullmatch(first)
    if status_line is None:
        raise NotUnderstood(f"a first line of {_shown(first)}, which is not HTTP")
    fields = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise NotUnderstood(f"a header of {_shown(line)}, which has no colon")
        fields[name.lower()] = value.strip()
    stays_open = status_line[1] == b"1" and fields.get(b"connection", b"").lower() != b"close"
    return int(status_line[2]), stays_open, fields


def _length(fields: Mapping[bytes, bytes]) -> int:
    said = fields.get(b"content-length")
    if said is None:
        raise NotUnderstood("neither a Content-Length nor chunks")
    if not _DIGITS.fullmatch(said):
        raise NotUnderstood(f"a Content-Length of {_shown(said)}")
    _require_fits(int(said))
    return int(said)


def _require_fits(length: int) -> None:
    if length > MOST_BODY_BYTES:
        raise NotUnderstood(f"a body of more than {MOST_BODY_BYTES} bytes")


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))
