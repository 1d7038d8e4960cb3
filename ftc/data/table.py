"""Named columns as a file holds them, where the image files lie that it names, and the text of text files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ftc.errors import InputError

UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of equal length.

    :param names: the columns' names
    :param rows: the number of rows
    :param column: the cells of the column at a position in `names`; None is a missing cell
    :param place: says where a row stands, for messages: ``row 3 (line 4)``
    :param class_names: by column, the names that the file itself gives to the numbers 0, 1, ... in it
    """

    names: tuple[str, ...]
    rows: int
    column: Callable[[int], Sequence[object]]
    place: Callable[[int], str]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileRoots:
    """Where the image files of a source may lie.

    :param relative: the folders that a relative file name may start from, in the order they are tried
    :param absolute: the folders in which an absolute file name may lie: only a library's own cache
    """

    relative: tuple[Path, ...]
    absolute: tuple[Path, ...] = ()


def by_row(row: int) -> str:
    """The place of a row in a file without lines, counted from 1."""
    return f"row {row + 1}"


def decoded(path: Path, source: str) -> str:
    """The text of a UTF-8 file, without its byte-order mark and otherwise untouched.

    :raises InputError: if the file cannot be read or is not UTF-8, with the offset and line of the byte
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from error
    if raw.startswith(UTF16_MARKS):
        raise InputError(f"{source}: not UTF-8 but UTF-16; save it as UTF-8, e.g. iconv -f UTF-16 -t UTF-8")
    skipped = len(UTF8_MARK) if raw.startswith(UTF8_MARK) else 0
    try:
        return raw[skipped:].decode()
    except UnicodeDecodeError as error:
        offset = skipped + error.start
        line = raw.count(b"\n", 0, offset) + 1
        raise InputError(
            f"{source}: not UTF-8: byte 0x{raw[offset]:02x} at offset {offset}, line {line}; "
            "save it as UTF-8, e.g. iconv -f WINDOWS-1252 -t UTF-8"
        ) from error
