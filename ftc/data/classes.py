"""Names and numbers of a checkpoint's classes, and values looked up among them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from ftc.errors import InputError

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")  # "3", and "3.0" as tables with gaps write it
SHOWN = 10  # values or classes listed in a message
WIDTH = 60  # characters of each


def by_name(values: Sequence[object], classes: Sequence[str]) -> dict[object, int] | None:
    """The id of the class that has each value as its name, or None if there is a value that no class has.

    Names are compared exactly; if that does not find all, without regard to case and outer spaces.

    :param values: distinct values
    """
    for form in (text_of, folded):
        known = names_of(classes, form)
        ids = {value: known[form(value)] for value in values if form(value) in known}
        if len(ids) == len(values):
            return ids
    return None


def by_number(values: Sequence[object], classes: Sequence[str]) -> dict[object, int] | None:
    """Each value as a number, or None if one is not a whole number from 0 to ``len(classes) - 1``.

    :param values: distinct values
    """
    numbers = {value: number_of(value) for value in values}
    ids = {value: number for value, number in numbers.items() if number is not None and 0 <= number < len(classes)}
    return ids if len(ids) == len(values) else None


def names_of(classes: Sequence[str], form: Callable[[object], str]) -> dict[str, int]:
    """The ids of those classes that the form of their names tells apart from all others."""
    forms = [form(name) for name in classes]
    count = Counter(forms)
    return {name: number for number, name in enumerate(forms) if count[name] == 1}


def text_of(value: object) -> str:
    """A label as a name; a whole number is written without a fraction, so that 3.0 can be the class '3'."""
    number = number_of(value) if isinstance(value, float) else None
    return str(value if number is None else number)


def folded(value: object) -> str:
    """A label as a name, without regard to case and outer spaces."""
    return text_of(value).strip().casefold()


def number_of(value: object) -> int | None:
    """A label as a number, None if it is not a whole one."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    text = str(value).strip()
    return int(text.partition(".")[0]) if WHOLE_NUMBER.fullmatch(text) else None


def by_value(values: Sequence[object], classes: Sequence[str]) -> dict[object, int] | None:
    """The id of the class whose name is the same whole number as each value, or None if one has no such class.

    :param values: distinct values
    """
    known = {number_of(name): number for number, name in enumerate(classes)}
    numbers = {value: number_of(value) for value in values}
    ids = {value: known[number] for value, number in numbers.items() if number is not None and number in known}
    return ids if len(ids) == len(values) else None


def unnamed(where: str, values: Sequence[object], classes: Sequence[str], owner: str, advice: str) -> InputError:
    """Labels that are not among those of other data, which alone say what its classes are called.

    :param values: distinct values
    :param owner: the data that the classes come from
    :param advice: what to do, if the values themselves do not suggest it
    """
    known = names_of(classes, folded)
    unknown = [value for value in values if folded(value) not in known]
    if all(number_of(value) is not None for value in values):
        advice = (
            f"which number is which class of {owner} is said nowhere: write the names, or the same numbers, in both"
        )
    return InputError(
        f"{where}: {len(unknown)} of {len(values)} different labels do not occur in {owner}: {some(unknown)}\n"
        f"  its {len(classes)} classes are {some(classes)}\n"
        f"  {advice}"
    )


def unmatched(where: str, values: Sequence[object], classes: Sequence[str], advice: str) -> InputError:
    """What cannot be matched, in the way that comes nearer to matching everything, and what could be.

    :param values: distinct values
    :param advice: what to do, if the values themselves do not suggest it
    """
    known = names_of(classes, folded)
    not_names = [value for value in values if folded(value) not in known]
    not_numbers = [value for value in values if number_of(value) not in range(len(classes))]
    unknown = not_numbers if len(not_numbers) < len(not_names) else not_names
    numbers = [number for number in map(number_of, values) if number is not None]
    repeated = [name for name, count in Counter(classes).items() if count > 1 and name in values]
    if repeated:
        advice = f"several classes are named {repeated[0]!r}: write numbers"
    elif len(numbers) == len(values) and (min(numbers), max(numbers)) == (1, len(classes)):
        advice = "these labels seem to count from 1, the checkpoint counts from 0: subtract 1"
    return InputError(
        f"{where}: {len(unknown)} of {len(values)} different labels are no classes of the checkpoint: "
        f"{some(unknown)}\n"
        f"  its {len(classes)} classes are {some(classes)}, by number 0 to {len(classes) - 1}\n"
        f"  {advice}"
    )


def some(values: Sequence[object]) -> str:
    """The first few values, and how many more there are."""
    shown = ", ".join(
        repr(value if len(str(value)) <= WIDTH else f"{str(value)[:WIDTH]}...") for value in values[:SHOWN]
    )
    return f"{shown} and {len(values) - SHOWN} more" if len(values) > SHOWN else shown
