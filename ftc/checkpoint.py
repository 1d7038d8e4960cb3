"""What a user points at: an artifact that `ftc` made, or a checkpoint, opened as the root of a new lineage."""

from __future__ import annotations

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

    with quiet_libraries():
        facts = with_operations_counted(artifact)
    return Artifact(artifact.path, replace(artifact.manifest, facts=facts))
