"""Rows of JSON files: an object per line, or one list of objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ftc.data.table import Table, by_row, decoded
from ftc.errors import InputError

ROW = '{"text": ..., "label": ...}'


def read_lines(path: Path, source: str) -> Table:
    """Read a .jsonl or .ndjson file: one object per line; a key that a row lacks is a missing cell.

    :param source: the file's name in messages
    :raises InputError: if the file is not UTF-8, or a line is no JSON object
    """
    lines = decoded(path, source).split("\n")  # not splitlines: a JSON string may hold U+2028 and its like
    while lines and not lines[-1].strip():
        lines.pop()
    rows = [_parsed(line, source, number) for number, line in enumerate(lines, 1)]
    return _table(rows, source, lambda row: f"line {row + 1}")


def read_list(path: Path, source: str) -> Table:
    """Read a .json file that holds a list of objects; a key that a row lacks is a missing cell.

    :param source: the file's name in messages
    :raises InputError: if the file is not UTF-8, not JSON, or holds anything else
    """
    rows = _parsed(decoded(path, source), source, 1)
    if not isinstance(rows, list):
        raise InputError(
            f"{source}: holds {_kind(rows)}; a .json file must hold a list of rows, [{ROW}, ...]: "
            "write the rows that you want from it to a file of their own"
        )
    return _table(rows, source, by_row)


def _table(objects: list[object], source: str, place: Callable[[int], str]) -> Table:
    rows: list[dict[str, object]] = []
    names: dict[str, None] = {}
    for index, row in enumerate(objects):
        if not isinstance(row, dict):
            raise InputError(f"{source}: {place(index)} is {_kind(row)}; every row must be an object, {ROW}")
        names.update(dict.fromkeys(row))
        rows.append(row)
    ordered = tuple(names)
    return Table(ordered, len(rows), lambda position: [row.get(ordered[position]) for row in rows], place)


def _parsed(text: str, source: str, first_line: int) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        advice = "; if it holds one row per line, name it .jsonl" if error.msg == "Extra data" else ""
        raise InputError(
            f"{source}: not JSON at line {first_line + error.lineno - 1}, column {error.colno}: {error.msg}{advice}"
        ) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, as deeply nested lists
        raise InputError(f"{source}: the JSON from line {first_line} on cannot be read: {error}") from error


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
