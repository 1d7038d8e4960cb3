"""The results file: every record is appended the moment it exists."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ftc.errors import InputError, RunError
from ftc.records import Record, adapter

FILE_NAME = "bench.jsonl"
GPU_FILE_NAME = "bench-cuda.jsonl"
"""Apart, since the last run of a file is what `--compare` and `--resume` take, and devices are not compared."""

_BEGINNING = re.compile(rb'\{"run":"[0-9a-f]+"')
"""How every record is written, and so how a results file begins, even one whose first line was cut short."""


def check(path: Path) -> None:
    """Make sure that nothing but a results file is ever appended to.

    :raises InputError: if what stands at `path` is something else
    :raises RunError: if the file cannot be read
    """
    if not os.path.lexists(path):
        return
    if not _is_results(path):
        raise InputError(
            f"{path} is there and is no results file of ftc bench: nothing is written into it. "
            "Choose another place with -o."
        )


def append(record: Record, path: Path) -> None:
    """Append one line, in a single write, and see it onto the disk.

    :raises RunError: if the file cannot be written
    """
    line = adapter().dump_json(record) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as file:
            file.write((b"" if _ends_whole(path) else b"\n") + line)
            os.fsync(file.fileno())
    except OSError as error:
        raise _unusable(path, error) from error


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
    return RunError(f"{path} cannot be written: {error.strerror}. Choose another place with -o.")


def _ends_whole(path: Path) -> bool:
    """Whether the last line is complete: half of one, from a killed run, must not swallow the next."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
