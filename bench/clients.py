"""HTTP clients on raw sockets, in one thread: little work for each request, so that the service is what is measured."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

_RECEIVED_BYTES = 2**20

MOST_CONNECTIONS = 256
"""Of an open loop; requests that arrive while all of them wait for answers wait as well, and that counts."""

ANSWER_S = 60.0
"""After so long without a byte from anybody, what is still asked counts as broken."""

Seen = Callable[[bytes, int, bytes], None]


@dataclass(slots=True)
class Answers:
    """:param latencies_ns: of requests that were answered with 200, in the order of the answers
    :param statuses: how often each HTTP status came
    :param broken: requests whose connection ended without an answer
    :param wall_s: from the first request to the last answer
    """

    latencies_ns: list[int] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0
    wall_s: float = 0.0

    @property
    def errors(self) -> int:
        """Requests without the answer that they should have had."""
        return self.broken + sum(count for status, count in self.statuses.items() if status != 200)

    def per_second(self) -> float:
        """Good answers in a second."""
        return self.statuses.get(200, 0) / self.wall_s

    def percentile_ms(self, share: float) -> float:
        """A percentile of the latencies, whatever their number."""
        ordered = sorted(self.latencies_ns)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6


def request(
    url: str, body: bytes, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of a POST to `/predict` below a URL."""
    parts = urlsplit(url)
    head = [f"POST {parts.path.rstrip('/')}/predict HTTP/1.1", f"Host: {parts.netloc}"]
    head += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*head, "\r\n"]).encode() + body


def closed_loop(
    url: str, requests: Sequence[bytes], *, clients: int, seconds: float | None = None, seen: Seen | None = None
) -> Answers:
    """Let clients ask, each its next request as soon as it has an answer, and wait for the last answers.

    :param seconds: how long requests are sent, again from the first after the last; None sends each once
    :param seen: called with every request, and the status and the body of its answer
    :raises OSError: if nobody listens
    """

    def schedule() -> Iterator[tuple[None, bytes]]:
        until_s = time.perf_counter() + (seconds or 0.0)
        for asked in requests if seconds is None else cycle(requests):
            if seconds is not None and time.perf_counter() >= until_s:
                return
            yield None, asked

    return _drive(url, schedule(), clients, seen)


def open_loop(
    url: str, requests: Sequence[bytes], arrivals_ns: Sequence[int], *, connections: int = MOST_CONNECTIONS
) -> Answers:
    """Send requests when they arrive, whether earlier ones were answered or not, and wait for the last answers.

    Latencies are counted from the arrival that was intended, not from when a request could be sent: a service that
    stalls would otherwise hide all that arrives meanwhile (coordinated omission: Tene, "How NOT to Measure Latency",
    2013).

    :param requests: asked in turn, again from the first after the last
    :param arrivals_ns: since the beginning, rising
    :raises OSError: if nobody listens
    """
    return _drive(url, iter(zip(arrivals_ns, cycle(requests), strict=False)), connections, None)


class _Client:
    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.socket: socket.socket | None = None
        self.sent = b""
        self.since_ns = 0
        self.received = b""

    def ask(self, selector: selectors.BaseSelector, sent: bytes, due_ns: int | None) -> None:
        self.received, self.sent = b"", sent
        if self.socket is None:
            self._connect(selector)
        self.since_ns = time.perf_counter_ns() if due_ns is None else due_ns
        assert self.socket is not None
        try:
            self.socket.sendall(sent)
        except OSError:  # the service has closed a connection that was idle
            self.close(selector)
            self._connect(selector)
            self.socket.sendall(sent)

    def _connect(self, selector: selectors.BaseSelector) -> None:
        self.socket = socket.create_connection(self._address, ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(self.socket, selectors.EVENT_READ, self)

    def receive(self) -> bool:
        """Whether the connection is still open."""
        try:
            part = self.socket.recv(_RECEIVED_BYTES) if self.socket is not None else b""
        except OSError:
            part = b""
        self.received += part
        return bool(part)

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
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), None)
    if length is None or len(body) < length:  # without a length the end of the connection ends the answer: broken
        return None
    return int(lines[0].split()[1]), body, b"connection: close" not in lines


def _drive(url: str, schedule: Iterator[tuple[int | None, bytes]], clients: int, seen: Seen | None) -> Answers:
    """:param schedule: requests with the time when each is due, or None for as soon as a client is idle"""
    parts = urlsplit(url)
    idle = [_Client((str(parts.hostname), parts.port or 80)) for _ in range(clients)]
    busy: set[_Client] = set()
    answers, begun_ns = Answers(), time.perf_counter_ns()
    waiting = next(schedule, None)
    # select, since epoll waits whole milliseconds
    with selectors.SelectSelector() as selector:
        try:
            while busy or waiting is not None:
                while waiting is not None and idle:
                    due_ns, sent = waiting
                    if due_ns is not None and begun_ns + due_ns > time.perf_counter_ns():
                        break
                    client = idle.pop()
                    client.ask(selector, sent, None if due_ns is None else begun_ns + due_ns)
                    busy.add(client)
                    waiting = next(schedule, None)
                wait_s = ANSWER_S
                if waiting is not None and idle and waiting[0] is not None:
                    wait_s = max(0.0, (begun_ns + waiting[0] - time.perf_counter_ns()) / 1e9)
                ready = selector.select(wait_s)
                if not ready and busy and wait_s == ANSWER_S:
                    answers.broken += len(busy)
                    break
                for key, _ in ready:
                    client = key.data
                    is_open = client.receive()
                    if client not in busy:  # closed by the service while nothing was asked
                        client.close(selector)
                        continue
                    if _answered(client, is_open, answers, selector, seen):
                        busy.remove(client)
                        idle.append(client)
        finally:
            for client in (*idle, *busy):
                client.close(selector)
    answers.wall_s = (time.perf_counter_ns() - begun_ns) / 1e9
    return answers


def _answered(
    client: _Client, is_open: bool, answers: Answers, selector: selectors.BaseSelector, seen: Seen | None
) -> bool:
    """Whether a client has its answer, or will get none."""
    done = _complete(client.received)
    if done is None:
        if is_open:
            return False
        answers.broken += 1
        client.close(selector)
        return True
    status, body, stays = done
    if status == 200:
        answers.latencies_ns.append(time.perf_counter_ns() - client.since_ns)
    answers.statuses[status] = answers.statuses.get(status, 0) + 1
    if seen is not None:
        seen(client.sent, status, body)
    if not stays:
        client.close(selector)
    return True
