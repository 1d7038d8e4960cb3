"""Which rows a search tunes on, which it judges with, and which give the final score."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ftc.artifact import Artifact
from ftc.console import counted
from ftc.data import Columns, Dataset, load
from ftc.data.splits import deduplicated
from ftc.errors import InputError
from ftc.tasks import TASKS

MOST_JUDGING = 2000
"""Rows that tell apart what is half a point apart; more would take time from building."""

LEAST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from, as the user says it; a process of its own can load them again.

    :param apart_from: where the rows of the final score come from, if they are others
    :param apart_split: which split of these, where there are several
    :param held_out: part (0-1) of the rows that judges, at most 2,000 of them
    :param final: part (0-1) that gives the final score, if no other rows do
    :param tuning: the fingerprint that the rows to tune on must have; None takes them as they are
    """

    path: str
    columns: Columns
    split: str | None = None
    apart_from: str | None = None
    apart_split: str | None = None
    held_out: float = 0.1
    final: float = 0.0
    seed: int = 0
    tuning: str | None = None

    def load(self, root: Artifact) -> Dataset:
        """All rows, with labels that match the checkpoint's.

        :raises InputError: if they cannot be read or have no labels
        """
        return self._loaded(self.path, self.split, root)

    def _loaded(self, path: str, split: str | None, root: Artifact) -> Dataset:
        return load(
            path,
            modality=TASKS.load(root.manifest.task).modality,
            classes=root.manifest.labels,
            columns=self.columns,
            need_labels=True,
            split=split,
        )

    def parts(self, root: Artifact) -> Parts:
        """The rows, divided; each text once, and none that gives the final score; images may repeat.

        :raises InputError: if they cannot be read, have no labels, are too few, or are not those they must be
        """
        data = self.load(root)
        final, repeated, leaking = None, 0, 0
        if TASKS.load(root.manifest.task).modality == "text":  # each process of a search would look at all images
            if self.apart_from is not None:
                final = self._loaded(self.apart_from, self.apart_split, root)
            found = deduplicated(data, [] if final is None else [final])
            data, repeated, leaking = found.data, found.repeated, found.leaking
        if len(data) < LEAST_ROWS:
            raise InputError(
                f"{self.path} has {counted(len(data), 'row')}; a search tunes on some, judges with others, and needs "
                f"at least {LEAST_ROWS}."
            )
        if self.final:
            final, rest = data.split(max(1, min(MOST_JUDGING, round(self.final * len(data)))), self.seed + 1)
            assert rest is not None, "a part of the rows is not all of them"
            data = rest
        judging, tuning = data.split(max(1, min(MOST_JUDGING, round(self.held_out * len(data)))), self.seed)
        assert tuning is not None, "a part of the rows is not all of them"
        if self.tuning not in (None, tuning.fingerprint):
            raise InputError(f"{self.path} has other rows than before.")
        return Parts(tuning, judging, final, repeated, leaking)

    def told(self) -> dict[str, Any]:
        """As JSON can carry it."""
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Source:
        """What `told` said."""
        return cls(**{**told, "columns": Columns(**told["columns"])})


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows without a text in common.

    :param tuning: to prune, distil and calibrate with
    :param judging: to choose with
    :param final: for the final score; None where it is other images, which nothing here looks at
    :param repeated: texts that were left out because an earlier one is the same
    :param leaking: texts that were left out because they are among those of the final score
    """

    tuning: Dataset
    judging: Dataset
    final: Dataset | None
    repeated: int = 0
    leaking: int = 0
