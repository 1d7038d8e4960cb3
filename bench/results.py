"""The results file: every record is appended the moment it exists."""

from __future__ import annotations

import os
from pathlib import Path

from ftc.errors import RunError
from ftc.measurement import Record, adapter

FILE_NAME = "bench.jsonl"


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
        raise RunError(f"{path} cannot be written: {error.strerror}. Choose another place with -o.") from error


def _ends_whole(path: Path) -> bool:
    """Whether the last line is complete: half of one, from a killed run, must not swallow the next."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
