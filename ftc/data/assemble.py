"""From a table to a dataset: columns chosen, labels matched, cells checked, content fingerprinted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from ftc.console import caution, say
from ftc.data import columns, labels
from ftc.data.dataset import Dataset, Example, Request
from ftc.data.fingerprint import fingerprint
from ftc.data.table import FileRoots, Table
from ftc.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def dataset(table: Table, roots: FileRoots, request: Request) -> Dataset:
    """Every row of a table, as the request reads it.

    :param roots: where the image files lie that the table names
    :raises InputError: if the table has no rows, or any row cannot be taken
    """
    if not table.rows:
        raise InputError(f"{request.source}: no rows; a row of data is needed besides the columns' names")
    taken, remark = columns.choose(table.names, request)
    say(f"{request.source}: {remark}; {table.rows} rows")
    ids: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    if taken.label is not None:
        column = labels.LabelColumn(
            where=f"{request.source}: column {taken.label!r}",
            values=_cells(table, taken.label),
            place=table.place,
            own_names=table.class_names.get(taken.label, ()),
        )
        ids, classes = labels.resolve(column, request.classes, need=request.need_labels, owner=request.owner)
    if taken.image is not None:
        from ftc.data.images import from_cells

        cells = _cells(table, taken.image)
        images, files = from_cells(cells, roots, lambda row: f"{request.source}: {table.place(row)}", request.source)
        return Dataset(images, ids, request.source, fingerprint(taken, ids, files), taken, classes)
    names = [name for name in (taken.text, taken.text_pair) if name is not None]
    texts = [_texts(table, name, request.source) for name in names]
    content = chain.from_iterable(_encoded(table, column, request.source) for column in texts)
    examples: Sequence[Example] = tuple(texts[0]) if len(texts) == 1 else tuple(zip(*texts, strict=True))
    empty = [row for row, example in enumerate(examples) if not any(example)]
    if empty:
        caution(f"{request.source}: {len(empty)} texts are empty, the first in {table.place(empty[0])}")
    return Dataset(examples, ids, request.source, fingerprint(taken, ids, content), taken, classes)


def _cells(table: Table, name: str) -> Sequence[object]:
    return table.column(table.names.index(name))


def _texts(table: Table, name: str, source: str) -> list[str]:
    texts: list[str] = []
    for row, cell in enumerate(_cells(table, name)):
        if not isinstance(cell, str):
            found = "nothing" if cell is None else f"{type(cell).__name__} {str(cell)[:40]!r}"
            raise InputError(f"{source}: {table.place(row)}: column {name!r} must hold text, found {found}")
        texts.append(cell)
    return texts


def _encoded(table: Table, texts: Sequence[str], source: str) -> list[bytes]:
    encoded: list[bytes] = []
    for row, text in enumerate(texts):
        try:
            encoded.append(text.encode())
        except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair, which is no character
            raise InputError(f"{source}: {table.place(row)}: not valid Unicode: {error.reason}") from error
    return encoded
