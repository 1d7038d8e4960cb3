"""Which candidates are measured: artifacts with a common root, and that root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ftc.artifact import Artifact, find_artifacts
from ftc.checkpoint import open_any
from ftc.console import caution
from ftc.errors import InputError
from ftc.measurement import Candidate


def select(paths: Sequence[Path], artifacts: Path, root: Path | None = None) -> tuple[Artifact, ...]:
    """The candidates, their root first if it is to be had.

    :param paths: artifacts or checkpoints; none means every artifact in `artifacts`
    :param root: where the checkpoint is now; None means where it was when the artifacts were made
    :raises InputError: if there is nothing, if the roots differ, or if `root` is another checkpoint
    """
    chosen = tuple(open_any(path) for path in paths) or find_artifacts(artifacts)
    if not chosen:
        raise InputError(
            f"{artifacts} holds no artifacts. Make one first: ftc quantize CHECKPOINT; or name their "
            "directory with --artifacts, or what to measure as arguments."
        )
    unique = tuple({artifact.manifest.id: artifact for artifact in chosen}.values())
    _check_one_root(unique)
    if unique[0].manifest.is_root:
        return unique
    roots = tuple(artifact for artifact in unique if artifact.manifest.is_root) or _root_of(unique[0], root)
    return (*roots, *(artifact for artifact in unique if not artifact.manifest.is_root))


def _check_one_root(artifacts: Sequence[Artifact]) -> None:
    families: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        families.setdefault(artifact.manifest.root_id, []).append(artifact)
    if len(families) > 1:
        listed = "\n".join(
            f"  of {members[0].manifest.lineage[0].name} (id {root}): "
            + " ".join(str(member.path) for member in members)
            for root, members in families.items()
        )
        raise InputError(
            "these artifacts come from different checkpoints, whose accuracies cannot be compared:\n"
            f"{listed}\nName those of one of them: ftc bench PATH PATH --data FILE"
        )


def _root_of(artifact: Artifact, given: Path | None) -> tuple[Artifact, ...]:
    manifest = artifact.manifest
    path = given or Path(manifest.root_path)
    if given is None and not path.exists():
        caution(
            f"the checkpoint is no longer at {path}; going on without it. "
            "Say where it is with --root PATH to compare with it."
        )
        return ()
    root = open_any(path, manifest.task)
    if root.manifest.id == manifest.root_id:
        return (root,)
    changed = (
        f"{path} is not the checkpoint that {artifact.path} was made from "
        f"(id {root.manifest.id}, it was {manifest.root_id})"
    )
    if given is not None:
        raise InputError(f"{changed}. Give that checkpoint, or leave --root out.")
    caution(f"{changed}: it was changed since. Going on without it; make the artifacts again to compare.")
    return ()


def described(artifact: Artifact) -> Candidate:
    """A candidate as it is written into results."""
    manifest = artifact.manifest
    # parity is with the parent: it tells of nothing lost since the root only for the root's own children
    exported = len(manifest.lineage) == 2 and manifest.parity is not None and not manifest.parity.lossy
    return Candidate(
        id=manifest.id,
        name=manifest.name,
        path=str(artifact.path.resolve()),
        format=manifest.format,
        runtime=manifest.run.runtime,
        lossless=manifest.is_root or exported,
        is_root=manifest.is_root,
        size_bytes=manifest.facts.size_bytes,
    )
