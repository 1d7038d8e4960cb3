"""Closed-loop HTTP clients on raw sockets: little work for each request, so that the server is what is measured."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

_RECEIVED_BYTES = 2**20


@dataclass(slots=True)
class Answers:
    """:param latencies_ns: of requests that were answered, from the first byte sent to the last received
    :param statuses: how often each HTTP status came
    :param broken: requests whose connection ended without an answer
    """

    latencies_ns: list[int] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0
    wall_s: float = 0.0

    def per_second(self) -> float:
        return self.statuses.get(200, 0) / self.wall_s

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_ns)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6


def request(url: str, body: bytes, content_type: str = "application/json") -> bytes:
    """The bytes of a POST to `/predict`."""
    head = f"POST /predict HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class _Client:
    def __init__(self, address: tuple[str, int], requests: Iterator[bytes]) -> None:
        self.address, self.requests = address, requests
        self.socket: socket.socket | None = None
        self.sent = b""
        self.sent_ns = 0
        self.received = b""

    def ask(self, selector: selectors.BaseSelector) -> None:
        if self.socket is None:
            self.socket = socket.create_connection(self.address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(self.socket, selectors.EVENT_READ, self)
        self.received = b""
        self.sent = next(self.requests)
        self.sent_ns = time.perf_counter_ns()
        self.socket.sendall(self.sent)

    def close(self, selector: selectors.BaseSelector) -> None:
        if self.socket is not None:
            selector.unregister(self.socket)
            self.socket.close()
            self.socket = None


def _complete(received: bytes) -> tuple[int, bytes, bool] | None:
    """Status, body and whether the connection stays open; None while something is missing."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return None
    lines = head.lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
    if len(body) < length:
        return None
    return int(lines[0].split()[1]), body, b"connection: close" not in lines


def closed_loop(
    url: str,
    requests: Sequence[bytes],
    *,
    clients: int,
    seconds: float,
    rate_per_s: float | None = None,
    seen: Callable[[bytes, int, bytes], None] | None = None,
) -> Answers:
    """Let clients ask, each its next request as soon as it has an answer, and wait for the last answers.

    :param rate_per_s: of all clients together; they pause where they would be faster. None for as fast as they can
    :param seen: called with every request, and the status and the body of its answer
    """
    parts = urlsplit(url)
    address = (str(parts.hostname), int(parts.port or 80))
    answers, bodies = Answers(), cycle(requests)
    begun_s = time.perf_counter()
    asked = 0
    idle = [_Client(address, bodies) for _ in range(clients)]
    busy = 0
    with selectors.DefaultSelector() as selector:
        while busy or time.perf_counter() - begun_s < seconds:
            passed_s = time.perf_counter() - begun_s
            while idle and passed_s < seconds and (rate_per_s is None or asked < rate_per_s * passed_s):
                idle.pop(0).ask(selector)
                asked, busy = asked + 1, busy + 1
            for key, _ in selector.select(0.002 if rate_per_s is not None else 0.5):
                client: _Client = key.data
                try:
                    part = client.socket.recv(_RECEIVED_BYTES) if client.socket else b""
                except OSError:
                    part = b""
                client.received += part
                done = _complete(client.received)
                if done is None and part:
                    continue
                if client in idle:  # closed by the server while nothing was asked
                    client.close(selector)
                    continue
                busy -= 1
                if done is None:
                    answers.broken += 1
                    client.close(selector)
                else:
                    status, body, stays = done
                    answers.latencies_ns.append(time.perf_counter_ns() - client.sent_ns)
                    answers.statuses[status] = answers.statuses.get(status, 0) + 1
                    if seen is not None:
                        seen(client.sent, status, body)
                    if not stays:
                        client.close(selector)
                idle.append(client)
        for client in idle:
            client.close(selector)
    answers.wall_s = time.perf_counter() - begun_s
    return answers
