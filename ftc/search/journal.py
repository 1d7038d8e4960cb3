"""What a search has found and decided: JSON lines, written the moment they are known, so that a killed one goes on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from bench.results import append_line
from ftc.console import caution
from ftc.errors import InputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA: Final = 3


@dataclass(frozen=True, slots=True)
class Begun:
    """The first line.

    :param search: what was asked for, of which checkpoint and which rows, as one number
    :param plan: the candidates that are tried first
    """

    search: str
    started: str
    root_id: str
    request: Mapping[str, str | float | int | bool | None]
    plan: tuple[str, ...]
    kind: Literal["search"] = "search"
    schema: Literal[3] = SCHEMA


@dataclass(frozen=True, slots=True)
class Built:
    """A stage is there.

    :param key: the chain that leads to it
    :param elapsed_s: of the whole search so far, as in every line
    """

    key: str
    path: str
    id: str
    seconds: float
    elapsed_s: float
    kind: Literal["built"] = "built"


@dataclass(frozen=True, slots=True)
class Failed:
    """A candidate came to nothing; the reason is its row."""

    key: str
    reason: str
    seconds: float
    elapsed_s: float
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate's accuracy on the rows that judge; see `bench.screening.Screened`."""

    key: str
    rows: int
    points: float
    low_points: float
    high_points: float
    score: float
    verdict: Literal["hopeless", "inside", "open"]
    seconds: float
    elapsed_s: float
    kind: Literal["judged"] = "judged"


@dataclass(frozen=True, slots=True)
class Timed:
    """A candidate's speed against the reference, in a short measurement.

    :param ratio: how many times as fast, with the interval's ends
    :param memory_bytes: peak resident memory of its process, or on a GPU the most it held there; None if unknown
    :param ways: on a GPU, the best ones; the first of them is the one that was so fast
    """

    key: str
    ratio: float
    low: float
    high: float
    p50_ns: float
    memory_bytes: int | None
    seconds: float
    elapsed_s: float
    ways: tuple[str, ...] = ()
    kind: Literal["timed"] = "timed"


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a shape is expected to reach against the reference, before it is built."""

    key: str
    ratio: float
    elapsed_s: float
    kind: Literal["predicted"] = "predicted"


@dataclass(frozen=True, slots=True)
class Decided:
    """A choice, which a search that goes on does not make again.

    :param stage: what was chosen
    :param choice: keys or other words
    :param numbers: what was chosen by
    """

    stage: str
    choice: tuple[str, ...]
    why: str
    elapsed_s: float
    numbers: Mapping[str, float] = field(default_factory=dict)
    kind: Literal["decided"] = "decided"


@dataclass(frozen=True, slots=True)
class Ended:
    """The last line.

    :param run: the final measurement, among the results
    :param seconds: that it took
    """

    run: str
    winner: str | None
    reason: str
    seconds: float
    elapsed_s: float
    kind: Literal["ended"] = "ended"


Entry = Begun | Built | Failed | Judged | Timed | Predicted | Decided | Ended


@cache
def adapter() -> TypeAdapter[Entry]:
    """Turns entries into JSON and back."""
    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


class Journal:
    """What is known, from the file and since.

    :raises InputError: if what stands at `path` is no journal this version can read
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: tuple[Entry, ...] = _read(path) if path.exists() else ()

    def add(self, entry: Entry) -> None:
        """Append a line, see it onto the disk, and take note of it.

        :raises RunError: if it cannot be written
        """
        append_line(adapter().dump_json(entry) + b"\n", self.path)
        self.entries = (*self.entries, entry)

    @property
    def elapsed_s(self) -> float:
        """What the search had taken when the last line was written."""
        return max((entry.elapsed_s for entry in self.entries if not isinstance(entry, Begun)), default=0.0)


def set_aside(path: Path) -> None:
    """Let a search begin anew; its journals are kept, since they alone tell what making things took the first time."""
    if path.exists():
        places = (path.with_suffix(f".before-{number}.jsonl") for number in itertools.count(1))
        path.replace(next(place for place in places if not place.exists()))


def longest_s(directory: Path) -> Mapping[str, float]:
    """What making an artifact took, by its path, at the longest in all journals of a directory.

    A search that finds what another has built takes no time for it, and must yet know what such a thing takes.
    """
    took: dict[str, float] = {}
    for journal in sorted(directory.glob("*.jsonl")):
        for line in journal.read_bytes().split(b"\n"):
            try:
                told = json.loads(line)
            except ValueError:  # of a run that was killed
                continue
            if isinstance(told, dict) and told.get("kind") == "built":
                took[told["path"]] = max(took.get(told["path"], 0.0), told["seconds"])
    return took


def _read(path: Path) -> tuple[Entry, ...]:
    from pydantic import ValidationError

    entries: list[Entry] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            json.loads(line)
        except ValueError:
            caution(f"{path}, line {number}: unfinished (a run was killed while writing it); skipped.")
            continue
        try:
            entries.append(adapter().validate_json(line))
        except ValidationError as error:
            raise InputError(
                f"{path}, line {number}: nothing this version of ftc can go on with. Move the file aside to "
                "search anew."
            ) from error
    return tuple(entries)
