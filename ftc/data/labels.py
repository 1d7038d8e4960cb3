"""The labels of a source matched to the classes of a checkpoint: all by name, or all by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftc.console import caution, say
from ftc.data.classes import (
    by_name,
    by_number,
    by_value,
    folded,
    names_of,
    number_of,
    some,
    text_of,
    unmatched,
    unnamed,
)
from ftc.errors import InputError

UNLABELLED = -1  # what public test sets hold in place of a label


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """Labels as a source holds them.

    :param where: the file and the column, for messages
    :param values: a name or a number per row; None, NaN or an empty string where there is none
    :param place: says where a row stands
    :param own_names: the names that the source itself gives to the numbers 0, 1, ...
    :param advice: what to do about labels that are no classes
    """

    where: str
    values: Sequence[object]
    place: Callable[[int], str]
    own_names: tuple[str, ...] = ()
    advice: str = "choose another column with --label-column, or correct the labels"


def resolve(
    column: LabelColumn, classes: Sequence[str] | None, *, need: bool, owner: str | None = None
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """The class id of every row as `match` finds it, and the classes: those given, or those that the labels name.

    Classes that are taken from the labels are in the order of their numbers or, if they have names, of the alphabet.

    :param owner: as for `match`
    :raises InputError: as `match` does, or if the labels name no classes
    """
    if classes is None:
        classes = _named_by(column)
    ids = match(column, classes, need=need, owner=owner)
    return ids, tuple(classes) if ids is not None else ()


def _named_by(column: LabelColumn) -> tuple[str, ...]:
    distinct = [value for value in dict.fromkeys(map(_hashable, column.values)) if not _is_missing(value)]
    if column.own_names and by_number(distinct, column.own_names) is not None:
        return column.own_names
    if len(distinct) < 2:
        raise InputError(f"{column.where} holds {some(distinct) or 'nothing'}; a classifier needs at least two classes")
    if any(isinstance(value, float) and number_of(value) is None for value in distinct):
        raise InputError(f"{column.where} holds measurements ({some(distinct)}), not classes; classes can be learned")
    if 2 * len(distinct) > len(column.values):
        raise InputError(
            f"{column.where} holds {len(distinct)} different values in {len(column.values)} rows: these are no "
            "classes. Choose another column with --label-column, or give several rows of each class"
        )
    numbers = [number for number in map(number_of, distinct) if number is not None]
    if len(numbers) == len(distinct):
        return tuple(map(str, sorted(numbers)))
    return tuple(sorted({text_of(value) for value in distinct}))


def _hashable(value: object) -> object:
    return value if value.__hash__ is not None else str(value)


def match(
    column: LabelColumn, classes: Sequence[str], *, need: bool, owner: str | None = None
) -> NDArray[np.int64] | None:
    """The class id of every row, (N,) int64, or None for a source without labels.

    Values are names if every one is the name of a class, exactly or but for case where that is unambiguous;
    else numbers if every one is a whole number from 0 to the number of classes less one. Classes that other data
    named are matched by name alone, as nobody knows their numbers; names that are numbers by their value.

    :param classes: the checkpoint's classes in the order of their ids
    :param owner: the data that the classes come from, None for a checkpoint's
    :param need: whether a source without labels, or with gaps in them, is refused
    :raises InputError: if the values are neither names nor numbers of the classes
    """
    try:
        distinct = list(dict.fromkeys(column.values))
    except TypeError as error:
        raise InputError(f"{column.where}: a label must be a name or a number, not a list: {error}") from error
    if not _is_labelled(column, distinct, classes, need):
        return None
    own = _own_names(column, distinct)
    if owner is None:
        ids = _of_checkpoint(column, distinct, own, classes)
    else:
        ids = _of_data(column, distinct, own, classes, owner)
    return np.fromiter(map(ids.__getitem__, column.values), np.int64, len(column.values))


def _is_labelled(column: LabelColumn, distinct: Sequence[object], classes: Sequence[str], need: bool) -> bool:
    gaps = {value for value in distinct if _is_missing(value)}
    given = [value for value in distinct if value not in gaps]
    if str(UNLABELLED) not in classes and all(number_of(value) == UNLABELLED for value in given):
        holds = f"holds {UNLABELLED} in every row, like a published test set" if given else "is empty"
        if need:
            raise InputError(f"{column.where} {holds}, but labels are needed; give labelled data")
        say(f"{column.where} {holds}: read without labels")
        return False
    if not gaps:
        return True
    rows = [row for row, value in enumerate(column.values) if value in gaps]
    missing = f"{len(rows)} of {len(column.values)} rows have no label, the first is {column.place(rows[0])}"
    if need:
        raise InputError(f"{column.where}: {missing}; label these rows or remove them")
    caution(f"{column.where}: {missing}; all labels are left out")
    return False


def _is_missing(value: object) -> bool:
    is_nan = value != value
    return value is None or is_nan or not str(value).strip()


def _own_names(column: LabelColumn, distinct: Sequence[object]) -> dict[object, str] | None:
    numbers = by_number(distinct, column.own_names)
    return None if numbers is None else {value: column.own_names[number] for value, number in numbers.items()}


def _of_checkpoint(
    column: LabelColumn, distinct: Sequence[object], own: dict[object, str] | None, classes: Sequence[str]
) -> dict[object, int]:
    ids = by_name(distinct, classes) if own is None else _by_own_names(column, own, classes)
    if ids is None:
        ids = by_number(distinct, classes)
    if ids is None:
        raise unmatched(column.where, distinct, classes, column.advice)
    return ids


def _of_data(
    column: LabelColumn, distinct: Sequence[object], own: dict[object, str] | None, classes: Sequence[str], owner: str
) -> dict[object, int]:
    """By the names that the source gives its own numbers, else by the labels themselves, never by places."""
    named = None if own is None else by_name(list(dict.fromkeys(own.values())), classes)
    if own is not None and named is not None:
        return {value: named[name] for value, name in own.items()}
    ids = by_name(distinct, classes)
    if ids is None:
        ids = by_value(distinct, classes)
    if ids is None:
        shown = distinct if own is None else list(own.values())
        raise unnamed(column.where, shown, classes, owner, column.advice)
    return ids


def _by_own_names(column: LabelColumn, own: dict[object, str], classes: Sequence[str]) -> dict[object, int] | None:
    """Numbers that the source names itself are matched by these names, not by what the checkpoint counts.

    Names that the checkpoint does not know leave the numbers to be matched, unless others contradict them.
    """
    where = column.where
    ids = by_name(list(dict.fromkeys(own.values())), classes)
    if ids is not None:
        moved = sum(ids[name] != number_of(value) for value, name in own.items())
        if moved:
            say(f"{where}: the checkpoint numbers {moved} of {len(own)} classes otherwise; matched by name")
        return {value: ids[name] for value, name in own.items()}
    known = names_of(classes, folded)
    if any(folded(name) in known and known[folded(name)] != number_of(value) for value, name in own.items()):
        raise unmatched(where, list(own.values()), classes, column.advice)
    if all(name == f"LABEL_{number}" for number, name in enumerate(classes)):
        say(f"{where}: the checkpoint does not name its classes; matched by number")
    else:
        names = f"{some(list(own.values()))}, the checkpoint {some(classes)}"
        caution(f"{where}: the source names its classes {names}; matched by number")
    return None
