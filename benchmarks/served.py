"""What the scripts about the service share: a text classifier's service on this machine, and texts to ask it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ftc.artifact import open_artifact
from ftc.data import load
from serve.bundle import Settings
from serve.context import stage
from serve.server import Server, free_port, running

LOG = "log"


def texts_of(artifact: Path, data: str, most: int) -> list[str]:
    """The first texts of a file, as the artifact's task reads them."""
    labels = open_artifact(artifact).manifest.labels
    return [str(text) for text in load(data, modality="text", classes=labels).head(most).examples]


@contextmanager
def served(artifact: Path) -> Iterator[tuple[Server, Path]]:
    """The artifact's service, ready, and the directory with its `LOG`."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        stage(open_artifact(artifact), Settings(), place)
        with (
            (place / LOG).open("wb") as log,
            running("serve.service:FtcService", place, "127.0.0.1", free_port(), log, home=place) as server,
        ):
            server.wait_until_ready()
            yield server, place
