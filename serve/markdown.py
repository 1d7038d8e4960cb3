"""Markdown that shows texts as they are, whatever is in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_MEANT = re.compile(r"([\\`*\[\]<>|])")


def plain(text: object) -> str:
    """A text on one line that no renderer takes for emphasis, a link, a cell's end or HTML."""
    return _MEANT.sub(r"\\\1", " ".join(str(text).split()))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def value(content: Any) -> str:
    """A value of an option in words."""
    if content is None:
        return "not set"
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, Mapping):
        return "; ".join(f"{plain(name)}: {value(each)}" for name, each in content.items()) or "none"
    if isinstance(content, Sequence) and not isinstance(content, str):
        return ", ".join(map(value, content)) or "none"
    return plain(content)
