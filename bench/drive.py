"""Connections to a service that are asked as soon as requests are due, in one thread, and what came back."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from urllib.parse import urlsplit

from bench.http_answer import Answer, NotUnderstood, reading

_RECEIVED_BYTES = 2**20

_SHOWN_BYTES = 300

Seen = Callable[[bytes, int, bytes], None]
Right = Callable[[bytes], bool]


@dataclass(slots=True)
class Answers:
    """:param latencies_ns: of requests that were answered rightly, in the order of the answers
    :param statuses: how often each HTTP status came
    :param wrong: answers of 200 whose content is not what was asked for
    :param broken: requests without a whole answer: the connection ended, it took too long, or is not understood; or, in
        an open loop, they arrived when nothing more was sent
    :param last_error: what the last request that is an error got
    :param wall_s: from the first request to the last answer
    """

    latencies_ns: list[int] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: int = 0
    broken: int = 0
    last_error: str = ""
    wall_s: float = 0.0

    @property
    def errors(self) -> int:
        """Requests without the answer that they should have had."""
        return self.broken + self.wrong + sum(count for status, count in self.statuses.items() if status != 200)

    def per_second(self) -> float:
        """Good answers in a second."""
        return len(self.latencies_ns) / self.wall_s

    def percentile_ms(self, share: float) -> float:
        """A percentile of the latencies, whatever their number."""
        ordered = sorted(self.latencies_ns)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6


class _Client:
    def __init__(self, address: tuple[str, int], answer_s: float) -> None:
        self._address = address
        self._answer_s = answer_s
        self.socket: socket.socket | None = None
        self.sent = b""
        self.since_ns = 0
        self.until_s = 0.0
        self._reading = reading()

    def ask(self, selector: selectors.BaseSelector, sent: bytes, due_ns: int | None) -> None:
        self._reading, self.sent = reading(), sent
        if self.socket is None:
            self._connect(selector)
        self.since_ns = time.perf_counter_ns() if due_ns is None else due_ns
        self.until_s = time.perf_counter() + self._answer_s
        assert self.socket is not None
        try:
            self.socket.sendall(sent)
        except ConnectionError:  # the service has closed a connection that was idle
            self.close(selector)
            self._connect(selector)
            self.socket.sendall(sent)

    def _connect(self, selector: selectors.BaseSelector) -> None:
        self.socket = socket.create_connection(self._address, self._answer_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(self.socket, selectors.EVENT_READ, self)

    def receive(self) -> Answer | None:
        """The answer, once it is whole.

        :raises NotUnderstood: if there will be none
        """
        try:
            part = self.socket.recv(_RECEIVED_BYTES) if self.socket is not None else b""
        except OSError as error:
            raise NotUnderstood(f"the end of the connection: {error}") from error
        if not part:
            raise NotUnderstood("the end of the connection, and no whole answer")
        try:
            self._reading.send(part)
        except StopIteration as whole:
            answer: Answer = whole.value
            return answer
        return None

    def close(self, selector: selectors.BaseSelector) -> None:
        if self.socket is not None:
            selector.unregister(self.socket)
            self.socket.close()
            self.socket = None


class Drive:
    """Clients of one service, and what they have got so far."""

    def __init__(self, url: str, clients: int, answer_s: float, seen: Seen | None, right: Right | None) -> None:
        parts = urlsplit(url)
        self._answer_s, self._seen, self._right = answer_s, seen, right
        self._idle = [_Client((str(parts.hostname), parts.port or 80), answer_s) for _ in range(clients)]
        self._busy: dict[_Client, None] = {}  # in the order of asking, so that the first runs out of time first
        self._answers = Answers()

    def run(self, schedule: Iterator[tuple[int | None, bytes]]) -> Answers:
        """:param schedule: requests with the time when each is due, or None for as soon as a client is idle"""
        begun_ns = time.perf_counter_ns()
        waiting = next(schedule, None)
        # select, since epoll waits whole milliseconds
        with selectors.SelectSelector() as selector:
            try:
                while self._busy or waiting is not None:
                    while waiting is not None and self._idle:
                        due_ns, sent = waiting
                        if due_ns is not None and begun_ns + due_ns > time.perf_counter_ns():
                            break
                        client = self._idle.pop()
                        self._busy[client] = None
                        client.ask(selector, sent, None if due_ns is None else begun_ns + due_ns)
                        waiting = next(schedule, None)
                    until_s = [next(iter(self._busy)).until_s] if self._busy else []
                    if waiting is not None and self._idle and waiting[0] is not None:
                        until_s.append((begun_ns + waiting[0]) / 1e9)
                    for key, _ in selector.select(max(0.0, min(until_s) - time.perf_counter())):
                        self._receive(key.data, selector)
                    if self._out_of_time(selector):
                        if waiting is not None and waiting[0] is not None:  # it arrives, whoever answers
                            self._answers.broken += 1 + sum(1 for _ in schedule)
                        waiting = None
            finally:
                for client in (*self._idle, *self._busy):
                    client.close(selector)
        self._answers.wall_s = (time.perf_counter_ns() - begun_ns) / 1e9
        return self._answers

    def _receive(self, client: _Client, selector: selectors.BaseSelector) -> None:
        if client not in self._busy:  # the service speaks, or closes, while nothing is asked
            client.close(selector)
            return
        try:
            answer = client.receive()
        except NotUnderstood as error:
            self._break(client, str(error), selector)
            return
        if answer is not None:
            self._count(client, answer)
            self._release(client)
            if not answer.stays_open:
                client.close(selector)

    def _count(self, client: _Client, answer: Answer) -> None:
        took_ns = time.perf_counter_ns() - client.since_ns
        answers = self._answers
        answers.statuses[answer.status] = answers.statuses.get(answer.status, 0) + 1
        wrong = answer.status == 200 and self._right is not None and not self._right(answer.body)
        answers.wrong += wrong
        if wrong or answer.status != 200:
            answers.last_error = f"{answer.status}: {answer.body[:_SHOWN_BYTES].decode(errors='replace')}"
        else:
            answers.latencies_ns.append(took_ns)
        if self._seen is not None:
            self._seen(client.sent, answer.status, answer.body)

    def _out_of_time(self, selector: selectors.BaseSelector) -> bool:
        now_s = time.perf_counter()
        late = list(takewhile(lambda client: client.until_s <= now_s, self._busy))
        for client in late:
            self._break(client, f"no whole answer in {self._answer_s:g} s", selector)
        return bool(late)

    def _break(self, client: _Client, why: str, selector: selectors.BaseSelector) -> None:
        self._answers.broken += 1
        self._answers.last_error = why
        client.close(selector)
        self._release(client)

    def _release(self, client: _Client) -> None:
        del self._busy[client]
        self._idle.append(client)
