"""What became of every candidate of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftc.search.journal import Built, Failed
from ftc.search.links import key
from ftc.search.result import Row, refusal
from ftc.search.ways import best_of

if TYPE_CHECKING:
    from bench.leaderboard import Leaderboard
    from bench.standing import Standing
    from ftc.artifact import Artifact
    from ftc.search.search import Search


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of the candidates of one search, after its final measurement.

    :param board: the final measurement
    :param best: the standing of its winner, or of the baseline where that stays
    :param of_best: what is said of it
    """

    search: Search
    board: Leaderboard
    best: Standing
    of_best: str

    def rows(self) -> tuple[Row, ...]:
        """All that was tried, and all that there was no time for: the winner or what stays, then the fastest."""
        store = self.search.store
        first: dict[str, str] = {}  # of each artifact, by its id, the row that tells of it
        rows = []
        for name in self._names():
            found = store.of(name)
            twin = first.setdefault(found.manifest.id, name) if found is not None else name
            rows.append(self._row(name, found, f"the same as {twin}" if twin != name else None))
        return tuple(sorted(rows, key=lambda row: (row.fate != self.of_best, -(row.measured or 0.0))))

    def _names(self) -> Sequence[str]:
        """Keys of candidates and of the stages on their way, those that were planned first, as twins are told apart."""
        store = self.search.store
        finished = [entry.key for entry in store.journal.entries if isinstance(entry, (Built, Failed))]
        finished += [key(())] if () in self.search.planned.chains else []
        planned = [name for name in map(key, self.search.planned.chains) if name in finished]
        return list(dict.fromkeys([*planned, *finished, *self.search.untried()]))

    def _row(self, name: str, found: Artifact | None, as_twin: str | None) -> Row:
        store, standing = self.search.store, self._standing(found)
        judged, timed, predicted = store.judged(name), store.timed(name), store.predicted(name)
        measured = timed.ratio if timed is not None else None
        way = next(iter(timed.ways), None) if timed is not None else None
        drop = judged.points if judged is not None else None
        if standing is not None:
            ratio = standing.ratio_to_float_onnx or standing.ratio_to_root
            measured, drop = ratio.value if ratio is not None else None, standing.drop_points
            way = standing.candidate.variant
        return Row(
            name,
            found.manifest.name if found is not None else name,
            found.path if found is not None else None,
            predicted.ratio if predicted is not None else None,
            measured,
            drop,
            as_twin or self._fate(name, found, standing),
            way,
        )

    def _standing(self, found: Artifact | None) -> Standing | None:
        """How it came out of the final measurement, if it took part: in the way that won, or else was the fastest."""
        if found is None:
            return None
        ours = [s for s in self.board.standings if s.candidate.artifact_id == found.manifest.id]
        return self.best if self.best in ours else best_of(ours) if ours else None

    def _fate(self, name: str, found: Artifact | None, standing: Standing | None) -> str:
        search, failure, judged = self.search, self.search.store.failed(name), self.search.store.judged(name)
        if standing is self.best:
            return self.of_best
        if standing is not None:
            behind = f"behind {self.best.candidate.name}: see the leaderboard"
            return refusal(standing, self.board, search.planned.request) or behind
        if failure is not None:
            return f"failed: {failure}"
        if found is None:
            return "no time left to try it" if name in search.untried() else "no longer there, where it was built"
        if judged is not None and judged.verdict == "hopeless":
            return f"dropped early: surely loses {judged.low_points:.1f} points or more on the rows that judge"
        if search.store.timed(name) is not None:
            return search.contender(name).behind
        is_stage = found.manifest.format == search.planned.root.manifest.format
        is_planned = name in map(key, search.planned.chains)
        is_form = is_planned or (judged is None and () in search.planned.chains)  # a GPU runs it as it is
        if not self._is_built_on(name) and (not is_stage or is_form):
            if judged is None:
                return "not judged: the search was stopped before"
            return "not compared: timing it failed or took too long, or the search was stopped before"
        if judged is not None and not self._is_built_on(name):
            if judged.points > search.judging.allowed_points:
                return f"went no further: loses {judged.points:.2f} points on the rows that judge"
            return "went no further: inside the budget, but not the fastest of these, or stopped before it was finished"
        return "a stage on the way to others"

    def _is_built_on(self, name: str) -> bool:
        return any(other.startswith(f"{name} | ") for other in self._names())
