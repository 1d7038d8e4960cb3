"""A service to be asked: one that runs somewhere, or a Bento that is started for as long as it is needed."""

from __future__ import annotations

import tempfile
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ftc.artifact import Artifact
from ftc.console import progress
from ftc.errors import InputError
from serve import store
from serve.bundle import read_bundle
from serve.server import free_port, get, running

_ANSWER_S = 10.0


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
    if urlsplit(url).scheme != "http" or not urlsplit(url).hostname:
        raise InputError(f"{url}: services are measured over plain HTTP, such as http://127.0.0.1:3000")
    try:
        about = get(f"{url}/metadata", _ANSWER_S)
    except urllib.error.HTTPError as error:
        hint = "Set FTC_API_KEY to its key." if error.code == 401 else "Is it a service that ftc has packaged?"
        raise InputError(f"{url}/metadata answered {error.code}. {hint}") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"no service of ftc answers at {url}: {getattr(error, 'reason', error)}. Start one: ftc serve"
        ) from error
    if not isinstance(about, dict) or not {"name", "task", "labels", "runtime"} <= about.keys():
        raise InputError(f"{url}/metadata tells of no model. Is it a service that ftc has packaged?")
    return about
