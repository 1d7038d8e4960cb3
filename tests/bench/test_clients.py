"""The HTTP clients: every request counted, latencies from when they were meant to be sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.clients import closed_loop, open_loop, request
from bench.plan import poisson_ns

STALL_NS = 200_000_000


@contextmanager
def answering(status_of: dict[bytes, int], stalls: int = 0) -> Iterator[str]:
    """A server that answers bodies with their status; 0 ends the connection. The first `stalls` wait."""
    seen = threading.Semaphore(stalls)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

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
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
