"""From a checkpoint to its fastest form inside an accuracy budget, in one call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftc.console import caution, say
from ftc.errors import RunError
from ftc.search import pace, plan
from ftc.search.fates import Fates
from ftc.search.journal import Ended, Failed, Journal, set_aside
from ftc.search.links import key
from ftc.search.prepare import Planned, prepare
from ftc.search.result import Result, choice, choose, unproven
from ftc.search.store import Store

if TYPE_CHECKING:
    from bench.leaderboard import Leaderboard
    from ftc.data import Columns
    from ftc.declared import Declared
    from ftc.search.bounds import Bounds
    from ftc.search.links import Chain
    from ftc.search.request import Request
    from ftc.search.search import Search
    from ftc.search.workshop import Workshop

_LOCK = "lock"
"""Beside what searches keep: held by the one that is going on."""


def optimize(
    checkpoint: str | Path,
    data: str | Path,
    *,
    final: str | Path | None = None,
    request: Request | None = None,
    artifacts: Path = Path("artifacts"),
    recipe: Sequence[Chain] | Bounds = (),
    columns: Columns | None = None,
    split: str | None = None,
    final_split: str | None = None,
    declared: Declared | None = None,
    force: bool = False,
    workshop: Workshop | None = None,
) -> Result:
    """Search for the fastest form of a checkpoint inside an accuracy budget.

    A search that was killed goes on where it was when it is called again with the same arguments.

    :param data: labelled rows to tune on; a part of them judges
    :param final: labelled rows that give the final score, and with a least score what the checkpoint has above it; None
        sets a tenth of `data` apart, at most 2,000 rows
    :param recipe: the candidates, where they are not to be found by the search, or what it is held to
    :param split: of `data`, where that has several
    :param final_split: of `final`
    :param artifacts: results are appended to its `bench.jsonl`, of a GPU `bench-cuda.jsonl`, and what is built goes to
        `search` below it
    :param force: search anew what was searched before; what the same libraries have built is taken again
    :param workshop: where the work is done; None for processes of this machine
    :raises InputError: if the request, the rows or the checkpoint are refused, or another search works in `artifacts`
    :raises RunError: if not even the baseline could be measured
    :raises KeyboardInterrupt: if it is interrupted before there is a candidate, or twice
    """
    planned = prepare(
        checkpoint,
        data,
        final=final,
        request=request,
        artifacts=artifacts,
        recipe=recipe,
        columns=columns,
        split=split,
        final_split=final_split,
        declared=declared,
    )
    return carry_out(planned, force=force, workshop=workshop)


def carry_out(planned: Planned, *, force: bool = False, workshop: Workshop | None = None) -> Result:
    """Search as it was planned; see `optimize`.

    :raises InputError: if another search works in the same directory
    :raises RunError: if not even the baseline could be measured
    :raises KeyboardInterrupt: if it is interrupted before there is a candidate, or twice
    """
    from bench.results import held

    refusal = (
        f"another ftc optimize works in {planned.artifacts}: wait until it has ended, since each makes the other's "
        "times longer, or give another directory with --artifacts."
    )
    with held(planned.place / _LOCK, refusal):
        if force:
            set_aside(planned.journal)
        return _searched(planned, workshop)


def _searched(planned: Planned, workshop: Workshop | None) -> Result:
    """Search, unless that was done before, from where an earlier run was killed."""
    from bench.winner import board_of
    from ftc.search.search import Search
    from ftc.search.workshop import Processes

    store = Store(Journal(planned.journal), planned.root)
    search = Search(planned, store, workshop or Processes(planned.place / "logs"))
    ended = store.ended()
    if ended is not None and (board := board_of(planned.results, ended.run)) is not None:
        won = choose(board, planned.request)[0].candidate
        is_root = won.artifact_id == planned.root.manifest.id
        if is_root or any(store.of(name) for name in store.built(won.artifact_id)):
            say("searched already with just this request and these rows; --force searches anew")
            return _result(search, board)
        say(
            f"searched already, but {won.path} is gone or damaged: the search goes on, and builds again what is missing"
        )
    elif store.begun() is None:
        store.add(lambda _at: planned.begun())
    elif ended is not None:
        say(f"searched already, but {planned.results} has no results of it any more: going on from what was kept")
    else:
        say(f"going on with a search that was interrupted after {store.elapsed_s:.0f} s")
        if any(isinstance(entry, Failed) for entry in store.journal.entries):
            say("what failed is not tried again, even after a full disk or a kill; --force searches anew")
    finalists = search.run()
    began = time.monotonic()
    board = _measured(search, finalists)
    best, is_better, reason = choose(board, planned.request, search.untried())
    doubt = unproven(best, search.judging.allowed_points) if is_better else None
    if doubt is not None:
        caution(doubt)
    store.add(lambda at: Ended(board.run, best.candidate.id, reason, time.monotonic() - began, at))
    return _result(search, board)


def _measured(search: Search, finalists: Sequence[str]) -> Leaderboard:
    """The final measurement: all rows of the final score, the checkpoint and the baseline among the candidates."""
    from bench.options import Options
    from bench.run import bench
    from ftc.search.job import reopened
    from ftc.search.request import Objective

    planned = search.planned
    reopened(planned.root.path, planned.declared, planned.root.manifest.id)
    roots = [planned.root] if search.runs(planned.root) else []
    chosen = [*roots, search.store.artifact(plan.REFERENCE), *map(search.store.of, finalists)]
    # a recipe may spell out the options of the baseline, and make it a second time
    candidates = list({artifact.manifest.id: artifact for artifact in chosen if artifact is not None}.values())
    if not candidates:
        why = search.store.failed(key(plan.REFERENCE)) or "what was built is gone"
        raise RunError(f"nothing can be measured: {why}")
    request = planned.request
    options = Options(
        threads=request.threads,
        time_budget_s=pace.timing_s(request.budget_s),
        max_drop_points=max(0.0, search.judging.allowed_points),
        device=request.device,
        seed=request.seed,
        scenario="Offline" if request.objective is Objective.THROUGHPUT else "SingleStream",
    )
    say(f"the final measurement: {len(candidates)} candidates on {len(planned.final)} rows that tuned nothing")
    return bench(
        candidates,
        data=planned.final,
        options=options,
        results_path=planned.results,
        choose=lambda board: choice(board, request, search.untried()),
        ways=search.ways(candidates),
    )


def _result(search: Search, board: Leaderboard) -> Result:
    planned, store = search.planned, search.store
    best, is_better, reason = choose(board, planned.request, search.untried())
    return Result(
        winner=Path(best.candidate.path),
        is_better=is_better,
        reason=reason,
        board=board,
        rows=Fates(search, board, best, f"won: {reason}" if is_better else reason).rows(),
        journal=planned.journal,
        seconds=store.journal.elapsed_s,
        building_s=store.building_s,
        measuring_s=store.measuring_s,
        way=best.candidate.variant,
    )
