"""How accurate candidates are on the rows that judge, beside the float export; and how many rows there is time for."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import screening
from bench.remote import WorkerError
from bench.screening import LOOKS, screened
from ftc.console import Advance, caution, hushed, progress
from ftc.search import pace, plan
from ftc.search.journal import Judged
from ftc.search.links import Chain, key
from ftc.search.request import Target
from ftc.search.ways import KEPT

if TYPE_CHECKING:
    import numpy as np

    from ftc.data import Dataset
    from ftc.search.search import Search

PACE: Final = "pace"
"""The stage at which rows are timed."""

ALLOWED: Final = "allowed points"
"""The stage at which it is known what may be lost, where a least score is asked for."""

_MOST_SCORED = 2000
"""Rows of the final score that tell it."""

_SLOWER = 10.0
"""Times as long as the reference that judging a candidate may take; so slow, it is no winner."""

_OPENED_S = 60.0
"""What opening it may take besides."""

_MOST_FINAL_SHARE = 0.5
"""Of the budget; if the final measurement takes more, it is said."""

_FIRST_LOOK_ROWS = 1000
"""That judge what is still to be trained and quantized."""

_PACE_ROWS = 64
"""That are timed first."""

_LEAST_PACE_ROWS = 32
"""Two answers of a process, the first of which tells nothing (see `pace.Ticks`); fewer rows are answered again."""

SLACK_POINTS = 3.0
"""Over the budget, before a candidate is dropped by the rows that judge.

These come from data that the checkpoint has mostly learnt from. On SST-2, what a pruned network lost there and what it
lost on new rows lay up to a point apart, either way.
"""


@dataclass(slots=True)
class Judging:
    """The part of a search that judges.

    :param search: whose checkpoint, rows and journal they are
    """

    search: Search
    _known: np.ndarray | None = field(default=None, init=False)

    @property
    def rows(self) -> Dataset:
        """The rows that judge: as many of them as the budget has time for, by what the reference takes for a row."""
        rows = self.search.store.choose(PACE, self._timed_pace).numbers["judging_rows"]
        return self.search.planned.parts.judging.sample(int(rows), self.search.planned.request.seed)

    @property
    def allowed_points(self) -> float:
        """What may be lost; with a least score, what the reference has above it on the rows of the final score.

        No candidate answers these before the end. On the rows that judge, most of which taught the checkpoint, it has
        more.
        """
        least = self.search.planned.request.min_score
        if least is None:
            return self.search.planned.request.max_drop_points
        return self.search.store.choose(ALLOWED, lambda: self._above(least)).numbers["points"]

    def _above(self, least: float) -> tuple[Sequence[str], str, dict[str, float]]:
        final = self.search.planned.final
        data = final.sample(min(len(final), _MOST_SCORED), self.search.planned.request.seed)
        assert data.labels is not None, "rows without labels are refused before"
        score = float((self._answered(data) == data.labels).mean())
        return (), "what the reference has above the least score", {"score": score, "points": 100 * (score - least)}

    def judge(self, chain: Chain) -> Judged | None:
        """How accurate a candidate is on the rows that judge, or on the first of them if that is enough."""
        store, name = self.search.store, key(chain)
        artifact = store.artifact(chain)
        if artifact is None or store.judged(name) is not None or store.failed(name) is not None:
            return store.judged(name)
        request, reference, data, began = self.search.planned.request, self._of_reference(), self.rows, time.monotonic()
        if store.failed(name) is not None:  # it was the reference
            return None
        is_stage = artifact.manifest.format == self.search.planned.root.manifest.format
        device = request.device if self.search.runs(artifact) else "cpu"
        if is_stage and device == "cpu":  # in the slowest of runtimes: a first look
            data = data.part(range(min(len(data), _FIRST_LOOK_ROWS)), f"head={_FIRST_LOOK_ROWS}")
        allowed = self.allowed_points + SLACK_POINTS
        try:
            with progress(f"judging {name}", len(data)) as advance:
                found = screening.answers(
                    artifact,
                    data,
                    threads=request.threads,
                    device=device,
                    most_s=self._most_s(chain, len(data)),
                    stop=LOOKS,
                    reference=reference,
                    allowed_points=allowed,
                    advance=advance,
                )
        except WorkerError as error:
            self.search.fail(name, str(error), time.monotonic() - began)
            return None
        assert data.labels is not None, "rows without labels are refused before"
        told = screened(data.labels, reference, found, allowed)
        seconds = time.monotonic() - began
        store.add(
            lambda at: Judged(
                name,
                told.rows,
                told.points,
                told.low_points,
                told.high_points,
                told.score,
                told.verdict,
                seconds,
                at,
            )
        )
        if told.verdict == "hopeless":
            self.search.tell(f"dropped {name}: surely loses {told.low_points:.1f} points or more ({told.rows} rows)")
        return store.judged(name)

    def _most_s(self, chain: Chain, rows: int) -> float:
        """What answering so many rows may take."""
        pace_s = self.search.store.choose(PACE, self._timed_pace).numbers["row_s"]
        return math.inf if chain == plan.REFERENCE else _OPENED_S + _SLOWER * pace_s * rows

    def _of_reference(self) -> np.ndarray:
        """Class ids (N,) int64 that the float export answers to the rows that judge, or else the checkpoint.

        :raises RunError: if the checkpoint cannot answer either
        """
        if self._known is None:
            self._known = self._answered(self.rows)
        return self._known

    def _answered(self, data: Dataset, advance: Advance | None = None) -> np.ndarray:
        planned = self.search.planned
        while True:
            reference, began = self.search.compared_with(), time.monotonic()
            try:
                with hushed():
                    return screening.answers(
                        reference,
                        data,
                        threads=planned.request.threads,
                        device=planned.request.device,
                        advance=advance,
                    )
            except WorkerError as error:
                if reference is planned.root:
                    raise
                self.search.fail(key(plan.REFERENCE), str(error), time.monotonic() - began)

    def _timed_pace(self) -> tuple[Sequence[str], str, dict[str, float]]:
        planned, ticks = self.search.planned, pace.Ticks()
        there_are, budget_s = len(planned.parts.judging), planned.request.budget_s
        drawn = planned.parts.judging.sample(_PACE_ROWS, planned.request.seed)
        in_turn = [row % len(drawn) for row in range(max(len(drawn), _LEAST_PACE_ROWS))]
        self._answered(drawn.part(in_turn, "in turn"), ticks)
        row_s = ticks.row_s or 0.0
        rows = pace.judging_rows(row_s, there_are, len(planned.chains), budget_s)
        ways = KEPT if planned.request.target is Target.CUDA else 1
        final_s = pace.final_s(row_s, len(planned.final), budget_s, ways)
        if rows < there_are:
            self.search.tell(f"{rows} of {there_are} rows judge: one takes {1000 * row_s:.0f} ms")
        if final_s > _MOST_FINAL_SHARE * budget_s:
            caution(
                f"the final measurement of {len(planned.final)} rows takes about {final_s / 60:.0f} minutes of the "
                f"{budget_s / 60:g}: a longer --time-budget, or fewer rows there, leave more for the search."
            )
        return (), "what the reference takes for a row", {"row_s": row_s, "judging_rows": rows, "final_s": final_s}
