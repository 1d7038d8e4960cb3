"""What a user points at: an artifact that `ftc` made, or a checkpoint, opened as the root of a new lineage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ftc.artifact import Artifact, is_artifact, open_artifact
from ftc.errors import InputError
from ftc.quiet import quiet_libraries


def open_any(path: Path, task: str | None = None, *, verify: bool = False) -> Artifact:
    """Open what a user points at: an artifact made by `ftc`, or a checkpoint.

    :param task: overrides the task that the checkpoint's architecture implies
    :param verify: also compare an artifact's files with the hashes in its manifest
    :raises InputError: if it is neither, or is damaged; the message says what was looked for
    """
    with _refusing_nonsense(path):
        return _opened(path, task, verify)


def _opened(path: Path, task: str | None, verify: bool) -> Artifact:
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if is_artifact(path):
        artifact = open_artifact(path, verify=verify)
        if task is not None and task != artifact.manifest.task:
            raise InputError(f"{path} was made for {artifact.manifest.task}; --task is for checkpoints.")
        return artifact
    from ftc.huggingface.checkpoint import open_checkpoint

    with quiet_libraries():
        return open_checkpoint(path, task)


def with_operations(artifact: Artifact) -> Artifact:
    """The artifact with its multiply-accumulates counted, if it is a checkpoint: artifacts know theirs."""
    if not artifact.manifest.is_root:
        return artifact
    from ftc.huggingface.model import with_operations_counted

    with quiet_libraries(), _refusing_nonsense(artifact.path):
        facts = with_operations_counted(artifact)
    return Artifact(artifact.path, replace(artifact.manifest, facts=facts))


@contextmanager
def _refusing_nonsense(path: Path) -> Iterator[None]:
    """A checkpoint's files come from anywhere: what makes their readers stumble is a fault of the files."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(_nonsense(path, error)) from error


def _nonsense(path: Path, error: Exception) -> str:
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return (
        f"{str(path)[:200]} cannot be opened: its files say something that makes no sense "
        f"({type(error).__name__}: {first[:200]}). Compare config.json and its neighbours with what was saved."
    )
