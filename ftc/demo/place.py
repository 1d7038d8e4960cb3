"""The demo's directory: what belongs to it, and whether what stands there can be gone on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ftc import __version__
from ftc.artifact import draft
from ftc.demo.subject import DATA
from ftc.errors import InputError, RunError

if TYPE_CHECKING:
    from ftc.demo.subject import Subject

MARK = "demo.json"
ARTIFACTS = "artifacts"
BENTOS = "bentoml"
LOG = "service.log"


def prepare(directory: Path, subject: Subject, *, force: bool = False) -> None:
    """Make the directory, or find an earlier run of the very same demo in it, which is then gone on with.

    :param force: begin anew: what earlier demos left is deleted, as is anything else under the same names
    :raises InputError: if something else is there, and `force` is False
    :raises RunError: if the place cannot be written
    """
    wanted = {"demo": subject.name, "version": __version__, "recipe": asdict(subject)}  # type: ignore[call-overload]
    mark = directory / MARK
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file. Choose another place with -o.")
    if force:
        for name in (MARK, DATA, subject.name, ARTIFACTS, BENTOS, LOG):
            _remove(directory / name)
    elif directory.is_dir() and any(directory.iterdir()) and _read(mark) != json.loads(json.dumps(wanted)):
        found = "another demo" if mark.exists() else "something else"
        raise InputError(
            f"{directory} holds {found} already. Choose another place with -o, or begin anew with --force, "
            f"which deletes {DATA}/, {subject.name}/, {ARTIFACTS}/ and {BENTOS}/ in it."
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write to {directory}: {error.strerror}. Choose another place with -o.") from error


def made_once(target: Path, make: Callable[[Path], str]) -> str:
    """Have a directory filled, all or nothing, unless an earlier run has done it; what was done, in words."""
    if target.exists():
        return "already there"
    with draft(target) as directory:
        done = make(directory)
        directory.chmod(0o755)  # drafts are private
        directory.rename(target)
    return done


def _read(mark: Path) -> object:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
