"""A model on disk that is complete in itself: a directory that was written elsewhere and sealed by one rename."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftc import manifest as manifests
from ftc.errors import FtcError, InputError, RunError
from ftc.manifest import FileEntry, Manifest

_DRAFT_PREFIX = ".ftc-draft-"
_REPLACED_PREFIX = ".ftc-replaced-"
_FRESH_S = 10.0
"""A draft younger than this may not be locked by its writer yet."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A sealed directory, or a checkpoint opened in place, with its manifest."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """The path of one of the artifact's files.

        :raises InputError: if the name leads out of the artifact or there is no such file
        """
        path = Path(os.path.realpath(self.path / name))
        if not path.is_relative_to(self.path.resolve()):
            raise InputError(f"{self.path}: the manifest names {name!r}, which lies outside the artifact; not opened.")
        # a checkpoint is opened as a directory; os.path asks about names of any length without raising
        if not (os.path.exists(path) if self.manifest.is_root else os.path.isfile(path)):
            raise InputError(f"{self.path}: {name[:200]!r} is missing; the artifact is damaged, make it again.")
        return path

    @property
    def model_path(self) -> Path:
        """The file (or checkpoint directory) that the runtime opens."""
        return self.file(self.manifest.run.entry)


def is_artifact(path: Path) -> bool:
    """Whether a directory was sealed by `ftc`."""
    return os.path.isfile(path / manifests.FILE_NAME)


def open_artifact(path: Path, *, verify: bool = False) -> Artifact:
    """Open a sealed artifact.

    :param verify: also compare every file's SHA-256 with the manifest
    :raises InputError: if the directory is no artifact, or a file is missing or has another size or content
    """
    if not is_artifact(path):
        raise InputError(f"{path} is not an artifact of ftc: it holds no {manifests.FILE_NAME}.")
    artifact = Artifact(path, manifests.read(path / manifests.FILE_NAME))
    for entry in artifact.manifest.files:
        file = artifact.file(entry.path)
        if file.stat().st_size != entry.size_bytes:
            raise InputError(
                f"{file} has {file.stat().st_size} bytes, its manifest says {entry.size_bytes}: "
                "the artifact was changed or copied in part. Make it again, or copy it again."
            )
        if verify and sha256(file) != entry.sha256:
            raise InputError(f"{file} does not have the content its manifest names. Make it again, or copy it again.")
    return artifact


def find_artifacts(directory: Path) -> tuple[Artifact, ...]:
    """The sealed artifacts directly below a directory, by name."""
    if not directory.is_dir():
        return ()
    return tuple(open_artifact(path) for path in sorted(directory.iterdir()) if is_artifact(path))


def content_id(parent: str, step: str, options: Mapping[str, Any], data: str | None) -> str:
    """The id of what a step makes: equal inputs, options and data give equal ids (64 bits of SHA-256, in hex)."""
    recipe = json.dumps([parent, step, options, data], sort_keys=True)
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def draft(target: Path) -> Iterator[Path]:
    """A new directory beside `target` to write an artifact into; gone afterwards unless it was sealed.

    Nothing is begun where the result could not get its name: only artifacts are ever replaced.

    The directory is locked while its writer lives, so drafts that a killed process left behind are known and
    removed by the next run.

    :raises InputError: if something that is no artifact stands at `target`
    :raises RunError: if the disk is full or the place cannot be written
    """
    check_replaceable(target)
    parent = target.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        path = Path(tempfile.mkdtemp(prefix=f"{_DRAFT_PREFIX}{target.name}-", dir=parent))
    except OSError as error:
        raise RunError(f"cannot write to {parent}: {error.strerror}. Choose another place.") from error
    with _locked(path):
        try:
            yield path
        except FtcError:
            raise
        except Exception as error:
            if _is_disk_full(error):
                raise RunError(
                    f"no space left on the disk that holds {parent}; nothing was left there. "
                    "Free some space, or choose another place."
                ) from error
            raise
        finally:
            shutil.rmtree(path, ignore_errors=True)


def seal(draft_path: Path, target: Path, manifest: Manifest, *, replace_existing: bool = False) -> Artifact:
    """Give a finished draft its final name: hash its files, write the manifest last, rename.

    :raises InputError: if something else stands at `target` and `replace_existing` is False
    """
    files = tuple(
        FileEntry(path.relative_to(draft_path).as_posix(), path.stat().st_size, _flushed_sha256(path))
        for path in sorted(draft_path.rglob("*"))
        if path.is_file()
    )
    manifest = replace(manifest, files=files)
    manifests.check(manifest, draft_path)
    manifest_path = draft_path / manifests.FILE_NAME
    manifest_path.write_text(manifests.to_json(manifest), encoding="utf-8")
    _flushed_sha256(manifest_path)
    # temporary directories are private, and so are weights as safetensors writes them; a service may be another user
    mode = manifest_path.stat().st_mode & 0o777  # what the user's umask allows
    for path in (draft_path, *draft_path.rglob("*")):
        path.chmod(mode | (mode & 0o444) >> 2 if path.is_dir() else mode)
    with _making_way(target, replace_existing):
        draft_path.rename(target)
    return Artifact(target, manifest)


@contextmanager
def _making_way(target: Path, replace_existing: bool) -> Iterator[None]:
    if not os.path.lexists(target):
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise InputError(f"{target} was made by someone else in the meantime.") from error
        return
    check_replaceable(target)
    if not replace_existing:
        raise InputError(f"{target} exists already; choose another name with -o, or replace it with --force.")
    aside = target.with_name(f"{_REPLACED_PREFIX}{target.name}")
    target.rename(aside)
    try:
        yield
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside)


def check_replaceable(target: Path) -> None:
    """:raises InputError: if something that is no artifact stands at `target`: only artifacts are ever replaced"""
    if os.path.lexists(target) and (target.is_symlink() or not is_artifact(target)):
        raise InputError(
            f"{target} exists and is no artifact of ftc: nothing is written over it, with --force neither. "
            "Choose another name with -o."
        )


def _flushed_sha256(path: Path) -> str:
    # the rename may reach the disk before the data does: a power cut must not leave a sealed, empty file
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _locked(directory: Path, *, wait: bool = True) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{_DRAFT_PREFIX}*"):
        try:
            if time.time() - path.stat().st_mtime > _FRESH_S:
                with _locked(path, wait=False):
                    shutil.rmtree(path, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError):
            continue  # its writer lives, or another run has just removed it
    for aside in parent.glob(f"{_REPLACED_PREFIX}*"):
        target = aside.with_name(aside.name.removeprefix(_REPLACED_PREFIX))
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(target)  # killed between the two renames: the old content is still the best there is


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(error):  # native writers report it in words only
            return True
        error = error.__cause__ or error.__context__
    return False
