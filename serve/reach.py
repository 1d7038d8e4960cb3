"""A service to be asked: one that runs somewhere, or a Bento that is started for as long as it is needed."""

from __future__ import annotations

import http.client
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ftc.artifact import Artifact
from ftc.console import progress
from ftc.errors import InputError
from serve import store
from serve.bundle import read_bundle
from serve.server import free_port, key_header, running

_ANSWER_S = 10.0
_MOST_BYTES = 4 * 2**20

_WORDS = ("name", "task", "runtime")


@dataclass(frozen=True, slots=True)
class Reached:
    """:param about: what its `/metadata` says
    :param artifact: the artifact inside; None where only its address is known
    """

    url: str
    about: dict[str, Any]
    artifact: Artifact | None = None


@contextmanager
def reached(target: str) -> Iterator[Reached]:
    """A service that answers at a URL, or that of a Bento, by its tag or its directory, started on the loopback.

    :raises InputError: if nothing of ours answers there, or there is no such Bento
    :raises RunError: if the Bento does not start
    """
    if "://" in target:
        url = target.rstrip("/")
        yield Reached(url, _metadata(url))
        return
    path = Path(target)
    source = (path if path.is_dir() else Path(store.path_of(target))).resolve()
    if not (source / "bento.yaml").is_file():
        raise InputError(
            f"{target} is a directory, but no Bento. Give a URL, a Bento's tag or its directory; "
            "build one with ftc package."
        )
    artifact = read_bundle(source / "src").artifact
    with (
        tempfile.TemporaryDirectory(prefix="ftc-reach-") as place,
        (Path(place) / "log").open("wb") as log,
        running(str(source), Path(place), "127.0.0.1", free_port(), log, home=Path(place), quiet=True) as server,
    ):
        with progress(f"starting {target}"):
            server.wait_until_ready()
        yield Reached(server.url, server.get("/metadata"), artifact)


def _metadata(url: str) -> dict[str, Any]:
    parts = _parts(url)
    try:
        status, body = _fetched(parts, f"{parts.path.rstrip('/')}/metadata")
        about: Any = json.loads(body) if status == 200 else None
    except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
        said = f"{type(error).__name__}: {error}" if isinstance(error, http.client.HTTPException) else error
        raise InputError(f"no service of ftc answers at {url}: {said}. Start one: ftc serve") from error
    if 300 <= status < 400:
        raise InputError(
            f"{url}/metadata answered {status}, a redirect, which is not followed. Give the service's own URL."
        )
    if status != 200:
        hint = "Set FTC_API_KEY to its key." if status == 401 else "Is it a service that ftc has packaged?"
        raise InputError(f"{url}/metadata answered {status}. {hint}")
    wrong = _wrong(about)
    if wrong is not None:
        raise InputError(f"{url}/metadata tells of no model: {wrong}. Is it a service that ftc has packaged?")
    told: dict[str, Any] = about
    return told


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname and parts.port != 0 and not (parts.query or parts.fragment):
            return parts
    except ValueError as error:
        raise InputError(f"{url} is no URL: {error}. Give one such as http://127.0.0.1:3000") from error
    raise InputError(f"{url}: services are measured over plain HTTP, at a URL such as http://127.0.0.1:3000")


def _fetched(parts: SplitResult, path: str) -> tuple[int, bytes]:
    """Status and body of a GET, without redirects and proxies: what is sent holds the key.

    :raises TimeoutError: if it takes longer than `_ANSWER_S` in all; the timeout of a socket begins anew at each byte
    :raises ValueError: if the body is too long
    :raises http.client.HTTPException: if what comes is not HTTP
    """
    assert parts.hostname is not None
    with closing(http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=_ANSWER_S)) as connection:
        connection.connect()
        is_late = threading.Event()

        def end(asked: socket.socket = connection.sock) -> None:
            is_late.set()
            with suppress(OSError):  # the service has closed it
                asked.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(_ANSWER_S, end)
        timer.start()
        try:
            connection.request("GET", path, headers=key_header())
            with connection.getresponse() as answer:
                status, body = answer.status, answer.read(_MOST_BYTES + 1)
        except (OSError, http.client.HTTPException):
            if not is_late.is_set():
                raise
        finally:
            timer.cancel()
        if is_late.is_set():
            raise TimeoutError(f"no whole answer in {_ANSWER_S:g} s")
    if len(body) > _MOST_BYTES:
        raise ValueError(f"an answer of more than {_MOST_BYTES} bytes")
    return status, body


def _wrong(about: Any) -> str | None:
    """What is not as a service of ours tells it."""
    if not isinstance(about, dict):
        return "it is no JSON object"
    for word in _WORDS:
        if not isinstance(about.get(word), str):
            return f"its {word!r} is no text"
    labels, variants, threads = about.get("labels"), about.get("variants", []), about.get("threads")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        return "its 'labels' are no list of texts"
    if not isinstance(variants, list) or not all(isinstance(each, dict) and "role" in each for each in variants):
        return "its 'variants' are no list of models with their roles"
    if threads is not None and (type(threads) is not int or threads < 1):
        return "its 'threads' are no number"
    return None
