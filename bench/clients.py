"""HTTP clients on raw sockets, in one thread: little work for each request, so that the service is what is measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from urllib.parse import urlsplit

from bench.drive import Answers, Drive, Right, Seen

MOST_CONNECTIONS = 256
"""Of an open loop; requests that arrive while all of them wait for answers wait as well, and that counts."""

ANSWER_S = 60.0
"""A request without its whole answer for so long counts as broken, whatever has arrived of it."""


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
    url: str,
    requests: Sequence[bytes],
    *,
    clients: int,
    seconds: float | None = None,
    seen: Seen | None = None,
    right: Right | None = None,
    answer_s: float = ANSWER_S,
) -> Answers:
    """Let clients ask, each its next request as soon as it has an answer, and wait for the last answers.

    :param seconds: how long requests are sent, again from the first after the last; None sends each once
    :param seen: called with every request, and the status and the body of its answer
    :param right: whether the body of an answer of 200 is what was asked for; None believes the status
    :param answer_s: what each answer may take. After one that takes longer nothing more is sent
    :raises OSError: if nobody listens
    """

    def schedule() -> Iterator[tuple[None, bytes]]:
        until_s = time.perf_counter() + (seconds or 0.0)
        for asked in requests if seconds is None else cycle(requests):
            if seconds is not None and time.perf_counter() >= until_s:
                return
            yield None, asked

    return Drive(url, clients, answer_s, seen, right).run(schedule())


def open_loop(
    url: str,
    requests: Sequence[bytes],
    arrivals_ns: Sequence[int],
    *,
    connections: int = MOST_CONNECTIONS,
    right: Right | None = None,
    answer_s: float = ANSWER_S,
) -> Answers:
    """Send requests when they arrive, whether earlier ones were answered or not, and wait for the last answers.

    Latencies are counted from the arrival that was intended, not from when a request could be sent: a service that
    stalls would otherwise hide all that arrives meanwhile (coordinated omission: Tene, "How NOT to Measure Latency",
    2013).

    :param requests: asked in turn, again from the first after the last
    :param arrivals_ns: since the beginning, rising
    :param right: as in `closed_loop`, as is `answer_s`, which counts from when a request is sent
    :raises OSError: if nobody listens
    """
    arriving = zip(arrivals_ns, cycle(requests), strict=False)
    return Drive(url, connections, answer_s, None, right).run(iter(arriving))
