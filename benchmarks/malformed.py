"""Thousands of malformed requests while good traffic runs: every one must get a 4xx, and no good answer may suffer."""

from __future__ import annotations

import argparse
import json
import random
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from served import LOG, served, texts_of

from bench.clients import closed_loop, request
from serve.server import Server

TOLERANCE = 0.05
"""Of a score: rows of a dynamically quantized batch share their scales with whoever asks at the same time."""

CLOSED = 0

_HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
_GOOD = b'{"texts": ["good"]}'
HAND_MADE: tuple[bytes, ...] = (
    b"",
    b"\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PUT /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"GET /predict HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /predict/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"POST /../predict HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"POST /predict HTTP/9.9\r\nHost: x\r\n\r\n",
    _HEAD + b"Content-Length: -1\r\n\r\n",
    _HEAD + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n",
    _HEAD + b"Content-Length: 10\r\nContent-Length: 11\r\n\r\n" + _GOOD,
    _HEAD + b"Content-Length: 1000\r\n\r\n" + _GOOD,
    _HEAD + b"Content-Length: 99999999999\r\n\r\n{",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    _HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    _HEAD + b"Content-Type: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
)


def _bodies() -> list[tuple[bytes, str]]:
    """Bodies that are wrong in ways that people and scanners think of, with their type."""
    deep = 200_000
    kinds = ("application/vnd.bentoml+pickle", "application/x-pickle", "application/octet-stream", "image/png", "a/b")
    wrong: tuple[bytes, ...] = (
        *(b"", b"null", b"[]", b"{}", b"texts", b'"good"', b"1e999", b"NaN", b"{'texts': ['a']}", b"\x00" * 100),
        *(b"[" * deep, b'{"texts":' * deep, b'{"texts": ' + b"[" * deep + b"]" * deep + b"}"),
        *(b'{"texts": ["\\ud800"]}', b'{"texts": ["\xc3\x28"]}', b'{"texts": [""]}', b'{"texts": ["\\u00a0"]}'),
        json.dumps({"texts": ["good"] * 100_000}).encode(),
        json.dumps({"texts": "good " * 400_000}).encode(),
        b'{"texts": [' + b"9" * 100_000 + b"]}",
    )
    return [(body, "application/json") for body in wrong] + [(b"\x80\x04N.", kind) for kind in kinds]


def _value(chance: random.Random, depth: int = 0) -> Any:
    """A JSON value of any kind."""
    kind = chance.randrange(9 if depth < 4 else 6)
    if kind >= 6:
        several = [_value(chance, depth + 1) for _ in range(chance.randrange(4))]
        keys = ("texts", "text", "text_pair", "all_scores", "x", "")
        return several if kind == 6 else {chance.choice(keys): value for value in several}
    words = ("", " ", "good", "\x00", "\ud83d\ude00", "a" * chance.randrange(3000))
    return (None, chance.random() < 0.5, chance.randrange(-(10**20), 10**20), 1e308, chance.choice(words), -0.0)[kind]


def _fuzzed(chance: random.Random) -> bytes:
    """A body after the schema with one of its parts replaced, or some of its bytes."""
    body: dict[str, Any] = {"texts": ["good", {"text": "good", "text_pair": "bad"}], "all_scores": True}
    if chance.random() < 0.7:
        part = chance.choice(["texts", "all_scores", "more", 0, "pair", "drop"])
        if part == 0:
            body["texts"][0] = _value(chance)
        elif part == "pair":
            body["texts"][1][chance.choice(["text", "text_pair", "more"])] = _value(chance)
        elif part == "drop":
            del body["texts"]
        else:
            body[str(part)] = _value(chance)
        return json.dumps(body).encode()
    raw = bytearray(json.dumps(body).encode())
    for _ in range(chance.randrange(1, 6)):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(raw[: chance.randrange(1, len(raw) + 1)])


def ask(address: tuple[str, int], raw: bytes, *, ends: bool) -> int:
    """The status that the bytes are answered with; `CLOSED` where the connection ends without one.

    :param ends: whether the client stops writing then, so that what promises more than it holds is over, too
    """
    with socket.create_connection(address, timeout=60) as connection:
        try:
            connection.sendall(raw)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before it was all sent; the answer may be there all the same
        try:
            said = connection.recv(4096)
        except ConnectionResetError:
            return CLOSED
    return int(said.split()[1]) if said.startswith(b"HTTP/1.1 ") else CLOSED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path, help="a text classifier")
    parser.add_argument("--data", required=True, help="texts of the good traffic")
    parser.add_argument("--count", type=int, default=5000, help="malformed requests")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    texts = texts_of(options.artifact, options.data, 200)
    with served(options.artifact) as (server, place):
        _run(server, texts, options.count, options.seed)
        failures = (place / LOG).read_text().count('"level": "error"')
        print(f"errors in the service's log: {failures}")


def _run(server: Server, texts: list[str], count: int, seed: int) -> None:
    parts = urlsplit(server.url)
    address = (str(parts.hostname), int(parts.port or 80))
    expected = {}
    for text in texts:
        body = request(server.url, json.dumps({"texts": [text]}).encode())
        expected[body] = server.post("/predict", {"texts": [text], "all_scores": True})[0]["scores"]
    wrong, largest = 0, 0.0

    def compare(sent: bytes, status: int, body: bytes) -> None:
        nonlocal wrong, largest
        if status != 200:
            return
        answer = json.loads(body)[0]
        difference = abs(answer["score"] - expected[sent][answer["label"]])
        largest = max(largest, difference)
        wrong += difference > TOLERANCE

    stop = threading.Event()
    good: list[Any] = []

    def traffic() -> None:
        while not stop.is_set():
            good.append(closed_loop(server.url, list(expected), clients=8, seconds=2, seen=compare))

    traffic_thread = threading.Thread(target=traffic)
    traffic_thread.start()
    chance, statuses = random.Random(seed), Counter[int]()
    hand_made = [*HAND_MADE, *(request(server.url, body, kind) for body, kind in _bodies())]
    for number in range(count):
        # every tenth by hand: some of them weigh megabytes
        raw = hand_made[number // 10 % len(hand_made)] if number % 10 == 0 else request(server.url, _fuzzed(chance))
        statuses[ask(address, raw, ends=raw in HAND_MADE)] += 1
    stop.set()
    traffic_thread.join()
    answered = sum(len(answers.latencies_ns) for answers in good)
    lost = answered - sum(answers.statuses.get(200, 0) for answers in good) + sum(answers.broken for answers in good)
    print(f"malformed: {dict(sorted(statuses.items()))}, 0 for a connection that ended without an answer")
    print(f"5xx: {sum(number for status, number in statuses.items() if status >= 500)}")
    print(f"good: {answered} answered, {lost} lost, {wrong} wrong (largest difference of a score {largest:.4f})")


if __name__ == "__main__":
    main()
