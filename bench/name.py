"""A candidate's name in a table: long ones are broken behind their hyphens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement as Width
from rich.text import Text

_LEAST = 16
"""Columns that a name gets where the table is narrow."""


@dataclass(frozen=True, slots=True)
class Name:
    """What rich asks for its width, and prints in as many lines as it takes."""

    text: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Width:
        longest = max(map(len, broken(self.text, options.max_width).split("\n")), default=1)
        return Width(min(_LEAST, len(self.text), options.max_width), longest)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(broken(self.text, options.max_width))


def broken(name: str, width: int) -> str:
    """The name in lines of a width at most; a part that is longer than one is cut."""
    lines = [""]
    for part in re.split(r"(?<=-)", name):
        if len(lines[-1]) + len(part) <= width:
            lines[-1] += part
            continue
        lines += [part[start : start + width] for start in range(0, len(part), width)]
    return "\n".join(line for line in lines if line)
