"""The HTTP clients: every request counted, latencies from when they were meant to be sent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.clients import closed_loop, open_loop, request
from bench.drive import Answers
from bench.http_answer import MOST_BODY_BYTES, Answer, NotUnderstood, reading
from bench.plan import poisson_ns

STALL_NS = 200_000_000

PATIENCE_S = 30.0
"""What a fake service waits for whatever it waits for: a test that goes wrong ends."""


@contextmanager
def answering(status_of: dict[bytes, int], stalls: int = 0) -> Iterator[str]:
    """A server that answers bodies with their status; 0 ends the connection. The first `stalls` wait."""
    seen = threading.Semaphore(stalls)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE_S

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if seen.acquire(blocking=False):
                time.sleep(STALL_NS / 1e9)
            status = status_of.get(body, 200)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket.settimeout(PATIENCE_S)  # a connection may be gone between select and accept
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()
        assert not thread.is_alive()


def test_every_request_is_counted_by_what_became_of_it() -> None:
    with answering({b"busy": 503, b"gone": 0}) as url:
        bodies = [b"good", b"busy", b"gone", b"good", b"good"]
        seen: list[tuple[int, bytes]] = []
        answers = closed_loop(
            url,
            [request(url, body) for body in bodies],
            clients=2,
            seen=lambda _, status, body: seen.append((status, body)),
        )
    assert answers.statuses == {200: 3, 503: 1}
    assert (answers.broken, answers.errors) == (1, 2)
    assert len(answers.latencies_ns) == 3
    assert sorted(seen) == [(200, b"ok")] * 3 + [(503, b"ok")]


def test_a_stall_is_in_the_latency_of_all_that_arrived_meanwhile() -> None:
    with answering({}, stalls=1) as url:
        answers = open_loop(url, [request(url, b"good")], [0, 1_000_000, 2_000_000], connections=1)
    assert answers.statuses == {200: 3}
    assert min(answers.latencies_ns) >= STALL_NS - 2_000_000


def test_arrivals_do_not_wait_for_answers() -> None:
    with answering({}, stalls=3) as url:
        answers = open_loop(url, [request(url, b"good")], [0, 1_000_000, 2_000_000, 3_000_000])
    assert answers.statuses == {200: 4}
    assert sum(latency >= STALL_NS for latency in answers.latencies_ns) >= 3


def test_where_nobody_listens_it_says_so() -> None:
    with answering({}) as url:
        pass
    with pytest.raises(OSError, match="refused"):
        closed_loop(url, [request(url, b"good")], clients=1)


def test_arrivals_by_chance_rise_and_have_the_rate() -> None:
    times = poisson_ns(100, 2000, (0, 1))
    assert times == sorted(times)
    assert times == poisson_ns(100, 2000, (0, 1)) != poisson_ns(100, 2000, (0, 2))
    assert 2000 / (times[-1] / 1e9) == pytest.approx(100, rel=0.1)


def read(said: bytes, step: int) -> Answer:
    """An answer that arrives in parts of `step` bytes."""
    begun = reading()
    for start in range(0, len(said), step):
        try:
            begun.send(said[start : start + step])
        except StopIteration as whole:
            assert start + step >= len(said), "it was whole too early"
            answer: Answer = whole.value
            return answer
    raise AssertionError("it never was whole")


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok", Answer(200, b"ok", True)),
        (b"HTTP/1.1 503\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", Answer(503, b"", False)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Answer(200, b"ok", False)),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", Answer(204, b"", True)),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Answer(200, b"ok", True),
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"A;x=y\r\n0123456789\r\n1\r\n\r\r\n0\r\nSum: 5\r\n\r\n",
            Answer(200, b"0123456789\r", True),
        ),
    ],
)
def test_an_answer_is_read_however_it_arrives(said: bytes, answer: Answer, step: int) -> None:
    assert read(said, step) == answer


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"garbage\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n", "no colon"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n", "'abc'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "'-1'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY_BYTES + 1), "a body of more than"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "neither"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**16, "a head of more than 65536"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok", "more bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "gzip"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n", "'0x1'"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", "a body of more than"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n", "longer than it says"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 20_000, "a trailer of more"),
    ],
)
def test_what_is_no_answer_is_named(said: bytes, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        read(said, 2**14)


def asked_of_one_that_says(first: bytes, again: bytes) -> Answers:
    """What a request gets within 0.3 s from a service that says something first, and goes on for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        is_over = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(PATIENCE_S)
                connection.recv(2**16)
                try:
                    connection.sendall(first)
                    while not is_over.wait(0 if len(again) > 1 else 0.02):
                        connection.sendall(again)
                except OSError:  # the client has had enough
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        try:
            answers = closed_loop(url, [request(url, b"good")], clients=1, answer_s=0.3)
        finally:
            is_over.set()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
    return answers


@pytest.mark.parametrize(
    ("first", "again", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", "no whole answer in 0.3 s"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x", "no whole answer in 0.3 s"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "no whole answer in 0.3 s"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 2**16, "a head of more than"),
    ],
)
def test_an_answer_that_does_not_end_is_an_error_of_its_request(first: bytes, again: bytes, why: str) -> None:
    answers = asked_of_one_that_says(first, again)
    assert (answers.broken, answers.errors, answers.statuses) == (1, 1, {})
    assert why in answers.last_error


def test_after_an_answer_that_does_not_come_nothing_more_is_sent() -> None:
    with answering({}, stalls=1) as url:
        answers = closed_loop(url, [request(url, b"good")] * 3, clients=1, answer_s=STALL_NS / 2e9)
    assert (answers.broken, answers.statuses) == (1, {})


def test_what_arrives_when_nothing_more_is_sent_was_not_answered_either() -> None:
    with answering({}, stalls=1) as url:
        arrivals_ns = [0, 1_000_000, 60 * 10**9, 61 * 10**9]
        answers = open_loop(url, [request(url, b"good")], arrivals_ns, connections=1, answer_s=STALL_NS / 2e9)
    assert (answers.broken, answers.errors, answers.statuses) == (4, 4, {})


def test_an_answer_that_is_not_right_is_an_error_without_a_latency() -> None:
    with answering({}) as url:
        answers = closed_loop(url, [request(url, b"good")] * 3, clients=1, right=lambda body: body != b"ok")
    assert (answers.wrong, answers.errors, answers.statuses) == (3, 3, {200: 3})
    assert (answers.latencies_ns, answers.last_error) == ([], "200: ok")
