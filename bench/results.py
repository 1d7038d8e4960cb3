"""The results file: every record is appended the moment it exists."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from ftc.console import caution
from ftc.errors import InputError, RunError
from ftc.records import Record, adapter
from ftc.results_file import first_fault, read_results

FILE_NAME = "bench.jsonl"
GPU_FILE_NAME = "bench-cuda.jsonl"
"""Apart, since the last run of a file is what `--compare` and `--resume` take, and devices are not compared."""

_BEGINNING = re.compile(rb'\{"run":"[0-9a-f]+"')
"""How every record is written, and so how a results file begins, even one whose first line was cut short."""


def check(path: Path) -> None:
    """Make sure that nothing but a results file is ever appended to, and none that could not be read again afterwards.

    :raises InputError: if what stands at `path` is something else, or a line of it is none that this `ftc` can read
    :raises RunError: if the file cannot be read
    """
    if not os.path.lexists(path):
        return
    if not _is_results(path):
        raise InputError(
            f"{path} is there and is no results file of ftc bench: nothing is written into it. "
            "Move it aside, or choose another place."
        )
    read_results(path)


def append(record: Record, path: Path) -> None:
    """Append a record as one line, in a single write, and see it onto the disk.

    :raises RunError: if the file cannot be written, or the record could not be read again
    """
    append_line(_line(record, path), path)


def append_line(line: bytes, path: Path) -> None:
    """Append a line that ends as one, and see it onto the disk.

    :raises RunError: if the file cannot be written
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as file:
            left = (b"" if _ends_whole(path) else b"\n") + line
            while left:  # a disk that is nearly full takes a part and says nothing; asked for the rest, it says why
                left = left[file.write(left) :]
            os.fsync(file.fileno())
    except OSError as error:
        raise _unusable(path, error) from error


@contextmanager
def held(path: Path, refusal: str | None = None) -> Iterator[None]:
    """Let no other process append to the file meanwhile; the system lets go of it if this one dies.

    Runs that measure at the same time disturb each other; and if one went on with a run that is still going, nobody
    could tell their turns apart. On a file system without locks, that is left to the user.

    :param refusal: what is said if another process holds it; None speaks of measuring
    :raises InputError: if another process holds it
    :raises RunError: if it cannot be written
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise _unusable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                refusal
                or f"another ftc bench is measuring into {path}: wait until it has ended, since each would slow the "
                "other, and give the same command again."
            ) from error
        except OSError as error:  # a file system without locks
            caution(f"{path} cannot be locked ({error.strerror}): let nothing else work there meanwhile.")
        yield


def _line(record: Record, path: Path) -> bytes:
    try:
        line = adapter().dump_json(record)
        adapter().validate_json(line)  # one line that cannot be read would be the end of all others
    except PydanticSerializationError as error:  # half of a surrogate pair is no character
        raise RunError(f"{path}: a name is not valid Unicode: {error}. Rename it, and measure again.") from error
    except ValidationError as error:
        raise RunError(f"{path}: what was measured makes no sense, {first_fault(error)}: it is not kept.") from error
    return line + b"\n"


def _is_results(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(64)
    except OSError as error:
        raise _unusable(path, error) from error
    return not beginning or _BEGINNING.match(beginning) is not None


def _unusable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"{path} cannot be written: {error.strerror}. Give the same command again when it can, or choose another place."
    )


def _ends_whole(path: Path) -> bool:
    """Whether the last line is complete: half of one, from a killed run, must not swallow the next."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
