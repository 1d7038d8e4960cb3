"""Rows of CSV and TSV files, exactly as they were written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path

from ftc.data.table import Table, decoded
from ftc.errors import InputError

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131072 is less than a long document


def read_csv(path: Path, source: str) -> Table:
    """Read comma-separated fields; double quotes enclose fields that hold commas, quotes or line ends.

    :param source: the file's name in messages
    :raises InputError: if the file is not UTF-8 or malformed, or a row has not as many fields as the header
    """
    records: list[list[str]] = []
    lines: list[int] = []
    # newline="": line ends inside quotes are content. strict: an unclosed quote would swallow the rest.
    reader = csv.reader(io.StringIO(decoded(path, source), newline=""), strict=True)
    line = 1
    with _long_fields():
        try:
            for record in reader:
                records.append(record)
                lines.append(line)
                line = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"{source}: malformed CSV in the row from line {line} on: {error}") from error
    while records and not records[-1]:
        records.pop()
    return _table(records, lines, source, "put double quotes around a field that holds a comma")


def read_tsv(path: Path, source: str) -> Table:
    """Read tab-separated fields; nothing is quoted or escaped, a quote is a character like any other.

    :param source: the file's name in messages
    :raises InputError: if the file is not UTF-8, or a row has not as many fields as the header
    """
    lines = decoded(path, source).replace("\r\n", "\n").split("\n")
    if not any(lines):
        lines.clear()
    elif lines[-1] == "":  # what follows the end of the last line
        lines.pop()
    if lines and "\t" in lines[0]:  # in a single column an empty line is an empty field
        while not lines[-1]:
            lines.pop()
    records = [line.split("\t") for line in lines]
    return _table(records, range(1, len(lines) + 1), source, "no field of a TSV can hold a tab or a line end")


def _table(records: list[list[str]], lines: Sequence[int], source: str, advice: str) -> Table:
    if not records:
        raise InputError(f"{source}: the file is empty; its first row must name the columns: text,label")
    names = tuple(records[0])
    for record, line in zip(records, lines, strict=False):  # blank last lines have a number but no record
        if len(record) != len(names):
            found = 0 if record == [""] else len(record)
            raise InputError(
                f"{source}: line {line} has {found} fields, the header has {len(names)} "
                f"({', '.join(map(repr, names))}); {advice}"
            )
    rows = records[1:]
    return Table(
        names=names,
        rows=len(rows),
        column=lambda position: list(map(itemgetter(position), rows)),
        place=lambda row: f"row {row + 1} (line {lines[row + 1]})",
    )


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
