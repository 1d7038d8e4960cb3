"""Packaging: stage, build, start what was built, replay the golden examples, keep it if all agree."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftc.artifact import Artifact
from ftc.console import progress
from ftc.errors import InputError, RunError
from ftc.quiet import quiet_libraries
from serve import requirements, store
from serve.bundle import Bundle, Second, Settings, form_of, read_bundle, require_alike
from serve.context import stage
from serve.example import curl
from serve.model import Model
from serve.replay import replay_all
from serve.server import free_port, running

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")  # what BentoML allows
_TAIL_LINES = 25


@dataclass(frozen=True, slots=True)
class Packaged:
    """A Bento that was built, started, and answered as its artifact does.

    :param size_bytes: code, models and environment files, uncompressed
    :param replayed: golden examples whose scores agreed to 1e-5
    :param second: id of the second artifact, if there is one
    :param share: of the requests that the second one answers; 0 for a shadow
    :param requirements: what the service imports, pinned; what those need is pinned as well
    :param packages_bytes: what all pinned packages take when they are installed
    """

    tag: str
    path: str
    size_bytes: int
    artifact: str
    runtime: str
    replayed: int
    requirements: tuple[str, ...]
    packages: int
    packages_bytes: int
    second: str | None = None
    share: float | None = None


def package(
    artifact: Artifact,
    settings: Settings | None = None,
    name: str | None = None,
    second: Second | None = None,
    tuner: Callable[[Settings], Settings] | None = None,
) -> Packaged:
    """Build a Bento from an artifact into BentoML's store.

    :param name: the Bento's name; None takes the artifact's, in the letters that BentoML allows
    :param second: another model for the same service
    :param tuner: chooses what the settings leave open
    :raises InputError: if the name is not allowed, services cannot run the artifact's runtime, that cannot open it,
        or the second model has another task or other labels
    :raises RunError: if the built Bento does not start or answers differently; it does not get into the store
    """
    if name is None:
        name = re.sub(r"[^a-z0-9._-]+", "-", artifact.manifest.name.lower()).strip("._-")[:63].rstrip("._-")
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a Bento: up to 63 lower-case letters, digits, '-', '_' and '.', "
            "a letter or digit at both ends. Choose another with --name."
        )
    artifacts = [artifact]
    if second is not None:
        require_alike(artifact, second.artifact)
        artifacts.append(second.artifact)
    direct = requirements.direct(*(each.manifest for each in artifacts))
    packages = requirements.pinned(direct)
    version = store.new_version(name)
    tag = f"{name}:{version}"
    settings = settings or Settings()
    if tuner is not None:
        settings = tuner(settings)
    with tempfile.TemporaryDirectory(prefix="ftc-package-") as place, store.workplace(tag) as home:
        bundle = stage(artifact, settings, Path(place), second)
        for opened in (bundle, *((bundle.of_second(),) if second is not None else ())):
            with progress(f"opening {opened.artifact.manifest.name} as the service will"), quiet_libraries():
                Model.open(opened)
        with progress(f"building {tag}"):
            built = _build(Path(place), home, bundle, name, version, packages)
        with progress(f"starting {tag} and replaying the golden examples"):
            replayed = _check(tag, Path(built["path"]))
        path = store.keep(Path(built["path"]), tag)
    return Packaged(
        tag=tag,
        path=str(path),
        size_bytes=built["size_bytes"],
        artifact=artifact.manifest.id,
        runtime=", ".join(dict.fromkeys(each.manifest.run.runtime for each in artifacts)),
        replayed=replayed,
        requirements=tuple(packages[: len(direct)]),
        packages=len(packages),
        packages_bytes=requirements.installed_bytes(packages),
        second=second.artifact.manifest.id if second is not None else None,
        share=second.share if second is not None else None,
    )


def _build(context: Path, home: Path, bundle: Bundle, name: str, version: str, packages: list[str]) -> dict[str, Any]:
    # BentoML writes its own requirement itself
    packages = [package for package in packages if not package.startswith("bentoml==")]
    request = {
        "name": name,
        "version": version,
        "packages": packages,
        "description": _description(bundle, name),
    }
    child = subprocess.run(
        [sys.executable, "-m", "serve.build"],
        cwd=context,
        env=os.environ | {"BENTOML_HOME": str(home)},
        input=json.dumps(request),
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    if child.returncode != 0:
        raise RunError(f"BentoML could not build the Bento; its last lines were:\n{_tail(child.stderr)}")
    built: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return built


def _check(tag: str, path: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="ftc-check-") as empty:
        place, log = Path(empty), Path(empty) / "log"
        try:
            with (
                log.open("wb") as output,
                running(str(path), place, "127.0.0.1", free_port(), output, home=place) as server,
            ):
                server.wait_until_ready()
                return replay_all(read_bundle(path / "src"), server, path / "src")
        except RunError as error:
            said = _tail(log.read_text(encoding="utf-8", errors="replace"))
            raise RunError(f"{tag} was not kept: {error}. The service's last lines were:\n{said}") from error


def _tail(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()[-_TAIL_LINES:])


def _description(bundle: Bundle, name: str) -> str:
    manifest = bundle.artifact.manifest
    way = " -> ".join(ancestor.name for ancestor in manifest.lineage)
    if (second := bundle.second) is not None:
        part = f"{100 * second.share:g} % of the requests" if second.role == "ab" else "copies of them, as a shadow"
        way += f"; {second.artifact.manifest.name} (id {second.artifact.manifest.id}) answers {part}"
    labels = ", ".join(manifest.labels[:10]) + (", ..." if len(manifest.labels) > 10 else "")
    return (
        f"# {name}\n\n{manifest.task}: {labels}\n\n"
        f"{way} (id {manifest.id}), run by {manifest.run.runtime}.\n\n"
        f"```\n{curl(manifest.task, 'http://127.0.0.1:3000', form_of(bundle.settings.measured))}\n```\n"
    )
