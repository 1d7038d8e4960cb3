"""Tables of what `ftc` can do; an entry names its class as text, so that listing it imports nothing."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ftc.collector import collector_paused
from ftc.errors import InputError, MissingExtra


@dataclass(frozen=True, slots=True)
class Entry:
    """One step, task or runtime.

    :param target: ``"module:Class"``, imported on first use
    :param summary: one line for `--help` and listings
    :param extra: the extra of `ftc` that installs what the module imports
    """

    target: str
    summary: str
    extra: str | None = None


Listed = TypeVar("Listed", bound=Entry)


@dataclass(frozen=True, slots=True)
class Registry(Generic[Listed]):
    """Names to entries of one kind (``"step"``, ``"task"``, ``"runtime"``)."""

    kind: str
    entries: Mapping[str, Listed]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def load(self, name: str) -> Any:
        """The class behind a name.

        :raises InputError: if there is no such name; the message offers the nearest ones
        :raises MissingExtra: if a library that the class needs is not installed
        """
        entry = self.entries.get(name)
        if entry is None:
            near = difflib.get_close_matches(name, self.entries, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(f"unknown {self.kind} {name!r}.{hint} Available: {', '.join(self.entries)}.")
        module, _, attribute = entry.target.partition(":")
        try:
            with collector_paused():
                return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if entry.extra is None or error.name is None or error.name.split(".")[0] in {"ftc", "compress"}:
                raise
            raise MissingExtra(f"{self.kind} {name!r}", error.name, entry.extra) from error
