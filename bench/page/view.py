"""What the templates are given: frozen values, texts as they were found. Escaping is the templates' part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["complete", "interrupted"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the headline, with what it is to be read with."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Headline:
    """:param subject: who won; None where nobody did
    :param sentence: why
    """

    subject: str | None
    sentence: str
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of what is told of a run.

    :param kind: which template shows it
    :param content: what that template is given
    :param note: what the reader should know beforehand
    """

    kind: str
    title: str
    content: object
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run.

    :param id: letters and digits, unique on the page
    :param remarks: what is to be known before the ranking is read
    """

    id: str
    started: str
    source: str
    state: State
    headline: Headline
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class OtherRun:
    """A run that a later one of the same file and conditions has taken the place of."""

    started: str
    source: str
    state: State
    candidates: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Group:
    """Runs under like conditions; candidates of different groups are never compared.

    :param differs: each condition in which it differs from the first group
    """

    title: str
    differs: tuple[str, ...]
    runs: tuple[RunView, ...]
    others: tuple[OtherRun, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """:param version: of `ftc`, which made the page"""

    title: str
    version: str
    groups: tuple[Group, ...]
