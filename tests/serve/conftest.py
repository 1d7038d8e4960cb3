"""A Bento built once from a tiny artifact, and servers that several tests ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ftc.artifact import Artifact
from serve.bundle import Settings
from serve.context import stage
from serve.package import Packaged, package
from serve.server import Server, free_port, running


@pytest.fixture(scope="session", autouse=True)
def bentoml_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("bentoml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(home))
        yield home


@contextmanager
def serving(target: str, directory: Path, home: Path | None = None) -> Iterator[Server]:
    with (
        (directory / "log").open("wb") as log,
        running(target, directory, "127.0.0.1", free_port(), log, home) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def bento(text_int8: Artifact, bentoml_home: Path) -> Packaged:
    return package(text_int8, Settings(threads=1, max_batch_size=8, measured={"p50_ns": 5}))


@pytest.fixture(scope="session")
def text_server(bento: Packaged, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(bento.tag, tmp_path_factory.mktemp("text-server")) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="session")
def image_server(image_onnx: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("image-server")
    stage(image_onnx, Settings(), place)
    with serving("serve.service:FtcService", place, home=place) as server:
        server.wait_until_ready()
        yield server
