"""What has become of each chain, in memory and in the journal; nothing is done twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeGuard, TypeVar

from ftc.artifact import Artifact, is_artifact, open_artifact
from ftc.console import caution
from ftc.errors import InputError
from ftc.search.journal import (
    Begun,
    Built,
    Decided,
    Ended,
    Entry,
    Failed,
    Journal,
    Judged,
    Predicted,
    Timed,
    longest_s,
)
from ftc.search.links import Chain, key

TABLE: Final = "latency table"
"""The stage at which times of shapes are written down."""


def _is_table(entry: Entry) -> TypeGuard[Decided]:
    return isinstance(entry, Decided) and entry.stage == TABLE


E = TypeVar("E", Built, Failed, Judged, Timed, Predicted)


@dataclass(slots=True)
class Store:
    """The state of a search: what its journal says, and its clock.

    :param root: the checkpoint, which is what the empty chain makes
    :param began_s: on the monotonic clock, less what runs before this one had taken
    """

    journal: Journal
    root: Artifact
    began_s: float = field(init=False)
    _longest_s: Mapping[str, float] = field(init=False)
    _told: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._longest_s = longest_s(self.journal.path.parent)
        self.began_s = time.monotonic() - self.journal.elapsed_s

    @property
    def elapsed_s(self) -> float:
        """What the search has taken, all its runs together."""
        return time.monotonic() - self.began_s

    def add(self, make: Callable[[float], Entry]) -> None:
        """Write an entry down, with the time."""
        self.journal.add(make(self.elapsed_s))

    def begun(self) -> Begun | None:
        """The first line, if there is one."""
        return next((entry for entry in self.journal.entries if isinstance(entry, Begun)), None)

    def ended(self) -> Ended | None:
        """How the search ended, if it is over; the last time, where its results were moved away and measured again."""
        return next((entry for entry in reversed(self.journal.entries) if isinstance(entry, Ended)), None)

    def artifact(self, chain: Chain) -> Artifact | None:
        """What a chain has made, if it still stands whole where it was put; what is damaged is built again."""
        return self.of(key(chain))

    def of(self, name: str) -> Artifact | None:
        """The same, by the chain's key."""
        if name == key(()):
            return self.root
        for entry in reversed(self.journal.entries):
            if isinstance(entry, Built) and entry.key == name and is_artifact(Path(entry.path)):
                try:
                    found = open_artifact(Path(entry.path))
                except InputError as error:
                    self._tell_once(f"{error} It counts as not built.")
                    continue
                if found.manifest.id == entry.id:
                    return found
        return None

    def failure(self, chain: Chain) -> str | None:
        """Why a chain, or the beginning of it, could not be built; what was built and then failed can be built on."""
        begun = (chain[:count] for count in range(1, len(chain) + 1))
        failed = (self.failed(key(one)) for one in begun if self.artifact(one) is None)
        return next((reason for reason in failed if reason is not None), None)

    def has_lost(self, name: str) -> bool:
        """Whether what a chain has made is gone, or damaged."""
        was_built = any(isinstance(entry, Built) and entry.key == name for entry in self.journal.entries)
        return was_built and self.of(name) is None

    def built(self, made: str) -> tuple[str, ...]:
        """Keys of the chains that made what has this id."""
        return tuple(entry.key for entry in self.journal.entries if isinstance(entry, Built) and entry.id == made)

    def failed(self, name: str) -> str | None:
        """Why just this came to nothing."""
        found = self._last(Failed, name)
        return None if found is None else found.reason

    def judged(self, name: str) -> Judged | None:
        """How accurate it is on the rows that judge."""
        return self._last(Judged, name)

    def timed(self, name: str) -> Timed | None:
        """How fast it is."""
        return self._last(Timed, name)

    def first_timed(self, name: str) -> Timed | None:
        """How fast it was found to be first; on a GPU, in all its ways."""
        return next((e for e in self.journal.entries if isinstance(e, Timed) and e.key == name), None)

    def predicted(self, name: str) -> Predicted | None:
        """How fast it was expected to be."""
        return self._last(Predicted, name)

    def decided(self, stage: str) -> Decided | None:
        """What was chosen at a stage."""
        return next((e for e in self.journal.entries if isinstance(e, Decided) and e.stage == stage), None)

    def choose(
        self,
        stage: str,
        make: Callable[[], tuple[Sequence[str], str, Mapping[str, float]]],
    ) -> Decided:
        """What was chosen at a stage, or else what `make` chooses now: the choice, why, and by which numbers."""
        known = self.decided(stage)
        if known is None:
            choice, why, numbers = make()
            self.add(lambda at: Decided(stage, tuple(choice), why, at, numbers))
            known = self.decided(stage)
            assert known is not None, "it was written just now"
        return known

    @property
    def building_s(self) -> float:
        """What went into building, also of what failed, and into the latency table."""
        worked = sum(entry.seconds for entry in self.journal.entries if isinstance(entry, (Built, Failed)))
        return worked + sum(e.numbers.get("seconds", 0.0) for e in self.journal.entries if _is_table(e))

    @property
    def measuring_s(self) -> float:
        """What went into judging, timing and the final measurement."""
        return sum(entry.seconds for entry in self.journal.entries if isinstance(entry, (Judged, Timed, Ended)))

    def built_in(self, chains: Iterable[Chain]) -> float:
        """What building these took, or had taken the search that built them."""
        wanted = {key(chain) for chain in chains}
        built = {e.key: e for e in self.journal.entries if isinstance(e, Built) and e.key in wanted}
        return sum(max(e.seconds, self._longest_s.get(e.path, 0.0)) for e in built.values())

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            caution(message)

    def _last(self, kind: type[E], name: str) -> E | None:
        found = (e for e in reversed(self.journal.entries) if isinstance(e, kind) and e.key == name)
        return next(found, None)
