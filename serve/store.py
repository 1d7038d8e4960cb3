"""The Bentos on this machine, in BentoML's store (`BENTOML_HOME` says where)."""

from __future__ import annotations

from contextlib import suppress

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
    import bentoml
    from bentoml.exceptions import BentoMLException

    try:
        return str(bentoml.bentos.get(tag).tag)
    except (BentoMLException, ValueError) as error:
        known = ", ".join(str(bento.tag) for bento in bentoml.bentos.list()) or "none"
        raise InputError(
            f"{tag} is neither a path nor a Bento. Bentos here: {known}. Build one: ftc package ARTIFACT"
        ) from error


def delete(tag: str) -> None:
    """Remove a Bento, whole or half-made; nothing happens if there is none."""
    import bentoml
    from bentoml.exceptions import NotFound

    with suppress(NotFound):
        bentoml.bentos.delete(tag)
