"""The Bentos on this machine, in BentoML's store (`BENTOML_HOME` says where)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftc.artifact import draft
from ftc.errors import InputError
from serve.build import LABEL


def new_version(name: str) -> str:
    """A version that no Bento has yet, as BentoML makes them."""
    import bentoml

    return str(bentoml.Tag(name).make_new_version().version)


def latest() -> str:
    """The tag of the Bento that was packaged last.

    :raises InputError: if there is none
    """
    import bentoml

    ours = [bento for bento in bentoml.bentos.list() if bento.info.labels.get(LABEL) == "ftc"]
    if not ours:
        raise InputError("no Bento has been packaged yet. Build one: ftc package ARTIFACT")
    return str(max(ours, key=lambda bento: bento.info.creation_time).tag)


def find(tag: str) -> str:
    """The full tag of a Bento in the store.

    :raises InputError: if there is no such Bento
    """
    return str(_get(tag).tag)


def path_of(tag: str) -> str:
    """The directory of a Bento in the store.

    :raises InputError: if there is no such Bento
    """
    return str(_get(tag).path)


def _get(tag: str) -> Any:
    import bentoml
    from bentoml.exceptions import BentoMLException

    try:
        return bentoml.bentos.get(tag)
    except (BentoMLException, ValueError) as error:
        known = ", ".join(str(bento.tag) for bento in bentoml.bentos.list()) or "none"
        raise InputError(
            f"{tag} is neither a path nor a Bento. Bentos here: {known}. Build one: ftc package ARTIFACT"
        ) from error


@contextmanager
def workplace(tag: str) -> Iterator[Path]:
    """A BentoML home for one build, beside the store, so that what is built there can be renamed into it.

    It is removed afterwards; one that a killed run has left, by the next one.
    """
    with draft(_home() / tag.replace(":", "-")) as place:
        yield place


def keep(built: Path, tag: str) -> Path:
    """Give a Bento its place in the store, whole or not at all; by its name alone it is found from now on.

    :param built: its directory in a `workplace`
    """
    name, _, version = tag.partition(":")
    place = _home() / "bentos" / name / version
    place.parent.mkdir(parents=True, exist_ok=True)
    built.rename(place)
    latest_file = place.with_name("latest")
    written = latest_file.with_name(f".latest-{version}")
    written.write_text(version, encoding="utf-8")
    written.rename(latest_file)
    return place


def _home() -> Path:
    from bentoml._internal.configuration.containers import BentoMLContainer

    return Path(BentoMLContainer.bentoml_home.get())
