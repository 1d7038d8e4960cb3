"""Where each candidate came from, step by step, as its manifest had it when it was measured."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bench.leaderboard import Leaderboard
from bench.page.marks import Mark, mark


@dataclass(frozen=True, slots=True)
class Link:
    """:param step: what made it; None for the root
    :param options: of the step, by name
    """

    name: str
    id: str
    step: str | None
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """A candidate's lineage; no links where the results file does not have it."""

    place: int
    name: str
    id: str
    mark: Mark
    links: tuple[Link, ...]


def lineage(board: Leaderboard) -> tuple[Chain, ...]:
    """Of every candidate, best first; that of a self-check's second process is its twin's."""
    return tuple(
        Chain(
            place,
            standing.candidate.name,
            standing.candidate.id,
            mark(standing.candidate.runtime, 5),
            tuple(
                Link(
                    ancestor.name,
                    ancestor.id,
                    ancestor.step.name if ancestor.step is not None else None,
                    tuple((name, _shown(value)) for name, value in ancestor.step.options.items())
                    if ancestor.step is not None
                    else (),
                )
                for ancestor in standing.candidate.lineage
            ),
        )
        for place, standing in enumerate(board.standings, start=1)
        if standing.candidate.twin_of is None
    )


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
