"""Columns of Parquet files and of Arrow tables that the `datasets` library keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ftc.data.dataset import OnAccess
from ftc.data.table import Table, by_row
from ftc.errors import InputError

DAMAGE = (
    pa.ArrowException,
    OSError,
    UnicodeDecodeError,
)  # what pyarrow raises on files that are not in order


def read_parquet(path: Path, source: str) -> Table:
    """Open a Parquet file; a column is read when it is asked for.

    :param source: the file's name in messages
    :raises InputError: if the file is not Parquet or is damaged
    """
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        names = tuple(schema.names)
    except DAMAGE as error:
        raise InputError(f"{source}: cannot be read as Parquet: {error}") from error

    def column(position: int) -> Sequence[object]:
        where = f"{source}: column {names[position]!r}"
        try:
            stored = file.read(columns=[names[position]]).column(0)
        except DAMAGE as error:
            raise InputError(f"{where} is damaged: {error}") from error
        return cells(stored, where)

    return Table(names, file.metadata.num_rows, column, by_row, class_names(schema.metadata))


def cells(column: pa.ChunkedArray, where: str) -> Sequence[object]:
    """The cells as Python values; encoded images (binary, or a struct around it) are made on access.

    :param where: the file and the column, for messages
    :raises InputError: if a text is not UTF-8, at once or on access
    """

    def cell(row: int) -> object:
        try:
            return column[row].as_py()
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: {by_row(row)} is not UTF-8: {error}") from error

    kind = column.type
    on_access = OnAccess(cell, range(len(column)))
    if pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return on_access
    try:
        values: list[object] = column.to_pylist()
    except UnicodeDecodeError:
        return list(on_access)  # cell by cell, to name the row
    return values


def class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """By column, the names of the numbers 0, 1, ... that `datasets` notes in a schema (its `ClassLabel`)."""
    try:
        noted = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:  # only a note beside the data, which stand without it
        return {}
    info = noted.get("info") if isinstance(noted, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    if not isinstance(features, dict):
        return {}
    named = {column: feature.get("names") for column, feature in features.items() if isinstance(feature, dict)}
    return {column: tuple(map(str, names)) for column, names in named.items() if isinstance(names, list)}
