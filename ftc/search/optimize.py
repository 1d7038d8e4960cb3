"""From a checkpoint to its fastest form inside an accuracy budget, in one call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.console import caution, counted, say
from ftc.data import Columns
from ftc.declared import SELF_DESCRIBED, Declared
from ftc.errors import InputError
from ftc.foreign.files import refuse
from ftc.search import pace, plan
from ftc.search.journal import Begun, Built, Ended, Failed, Journal, set_aside
from ftc.search.links import Chain, digest, key
from ftc.search.parts import Parts, Source
from ftc.search.request import Request
from ftc.search.result import Result, Row, choice, choose
from ftc.search.store import TABLE, Store

if TYPE_CHECKING:
    from bench.leaderboard import Leaderboard
    from bench.standing import Standing
    from ftc.data import Dataset
    from ftc.search.search import Search
    from ftc.search.workshop import Workshop

PLACE = "search"
"""Below the directory of the artifacts, where searches keep what they build."""

_LOCK = "lock"
"""Beside what searches keep: held by the one that is going on."""

FINAL_SHARE = 0.1
"""Of the rows, for the final score, where no other rows are given for it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A search before it begins.

    :param chains: what is tried first, or all that is tried where a recipe was given
    :param final: the rows of the final score
    :param journal: where its state is
    """

    root: Artifact
    declared: Declared
    request: Request
    source: Source
    parts: Parts
    final: Dataset
    chains: tuple[Chain, ...]
    skipped: tuple[plan.Skipped, ...]
    place: Path
    journal: Path
    search: str

    def begun(self) -> Begun:
        """The first line of its journal."""
        told = {
            name: value if value is None or isinstance(value, (bool, int, float)) else str(value)
            for name, value in asdict(self.request).items()
        }
        started = datetime.now(UTC).isoformat(timespec="seconds")
        return Begun(self.search, started, self.root.manifest.id, told, tuple(map(key, self.chains)))


def optimize(
    checkpoint: str | Path,
    data: str | Path,
    *,
    final: str | Path | None = None,
    request: Request | None = None,
    artifacts: Path = Path("artifacts"),
    recipe: Sequence[Chain] = (),
    columns: Columns | None = None,
    split: str | None = None,
    final_split: str | None = None,
    declared: Declared | None = None,
    force: bool = False,
    workshop: Workshop | None = None,
    announce: Callable[[Planned], None] | None = None,
) -> Result:
    """Search for the fastest form of a checkpoint inside an accuracy budget.

    A search that was killed goes on where it was when it is called again with the same arguments.

    :param data: labelled rows to tune on; a part of them judges
    :param final: labelled rows that give the final score, and with a least score what the checkpoint has above it; None
        sets a tenth of `data` apart
    :param recipe: the candidates, where they are not to be found by the search
    :param split: of `data`, where that has several
    :param final_split: of `final`
    :param artifacts: results are appended to its `bench.jsonl`, and what is built goes to `search` below it
    :param force: search anew what was searched before; what the same libraries have built is taken again
    :param workshop: where the work is done; None for processes of this machine
    :param announce: is told the plan before anything is built
    :raises InputError: if the request, the rows or the checkpoint are refused, or another search works in `artifacts`
    :raises RunError: if not even the baseline could be measured
    """
    from bench.results import held

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
    if announce is not None:
        announce(planned)
    refusal = (
        f"another ftc optimize works in {artifacts}: wait until it has ended, since each makes the other's times "
        "longer, or give another directory with --artifacts."
    )
    with held(planned.place / _LOCK, refusal):
        if force:
            set_aside(planned.journal)
        return _searched(planned, artifacts, workshop, fixed=bool(recipe))


def prepare(
    checkpoint: str | Path,
    data: str | Path,
    *,
    final: str | Path | None = None,
    request: Request | None = None,
    artifacts: Path = Path("artifacts"),
    recipe: Sequence[Chain] = (),
    columns: Columns | None = None,
    split: str | None = None,
    final_split: str | None = None,
    declared: Declared | None = None,
) -> Planned:
    """Open everything, divide the rows, and say what would be tried; see `optimize`.

    :raises InputError: if the request, the rows or the checkpoint are refused, or the results could not be kept
    """
    request, declared, path = request or Request(), declared or Declared(), Path(checkpoint)
    refuse(path, "searched for a faster form of")
    _check_results(artifacts)
    root = open_any(path, declared)
    if root.manifest.format in SELF_DESCRIBED:  # an adapter's labels went into what it was merged into
        declared = Declared(declared.task)
    if not root.manifest.is_root:
        raise InputError(f"{path} is made by ftc already: search from {root.manifest.root_path}, the checkpoint.")
    if final is not None and Path(data).resolve() == Path(final).resolve() and split == final_split:
        raise InputError(f"--data and --eval are both {data}: the final score must come from rows that tuned nothing.")
    source = Source(
        str(data),
        columns or Columns(),
        split,
        apart_from=None if final is None else str(final),
        apart_split=final_split,
        final=FINAL_SHARE if final is None else 0.0,
        seed=request.seed,
    )
    parts = source.parts(root)
    source = replace(source, tuning=parts.tuning.fingerprint)
    if parts.leaking:
        caution(f"left out of {data}, being among the rows of the final score: {parts.leaking}")
    if parts.repeated:
        say(f"left out of {data}, repeating an earlier row: {parts.repeated}")
    if final is None:
        scored = parts.final
        caution(
            f"no rows for the final score alone: a tenth of {data} was set apart. If the checkpoint was trained on "
            "these rows, drops may be others on new ones; --eval takes rows that it has never seen."
        )
    else:
        scored = Source(str(final), source.columns, final_split).load(root)
    assert scored is not None, "rows are set apart where none are given"
    if final is not None and _base(scored) == _base(parts.tuning):
        raise InputError(
            f"{data} and {final} hold the same rows: the final score must come from rows that tuned nothing."
        )
    few = ((parts.judging, f"of {data} judge, a tenth of all"), (scored, f"of {final or data} give the final score"))
    for part, what in few:
        if len(part) < pace.LEAST_JUDGING:
            caution(
                f"only {counted(len(part), 'row')} {what}: one of them weighs {100 / len(part):.1f} points. More rows "
                "there tell smaller drops."
            )
    chains, skipped = plan.post_training(root, request) if not recipe else ((), ())
    if recipe:
        for number, chain in enumerate(recipe, 1):
            plan.check(root, chain, request, f"candidate {number} of the recipe, {key(chain)}")
        chains = tuple(plan.with_export(root, chain) for chain in recipe)
    if recipe and plan.REFERENCE not in chains:
        chains = (plan.REFERENCE, *chains)
    rows = (parts.tuning.fingerprint, scored.fingerprint)
    search = digest("\n".join((root.manifest.id, *rows, repr(request), *_machine(request.threads), *map(key, chains))))
    place = artifacts / PLACE
    journal = place / f"{root.manifest.name}-{search}.jsonl"
    return Planned(root, declared, request, source, parts, scored, chains, skipped, place, journal, search)


def _check_results(artifacts: Path) -> None:
    """Refuse a file into which the final measurement could not be written, before the budget is used."""
    from bench.results import FILE_NAME, check

    if artifacts.exists() and not artifacts.is_dir():
        raise InputError(f"--artifacts {artifacts} is no directory: give one, or a path where nothing is yet.")
    path = artifacts / FILE_NAME
    check(path)
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(
            f"{path} cannot be written, and the final measurement goes there: allow that, or give another directory "
            "with --artifacts."
        )


def _base(data: Dataset) -> str:
    """The fingerprint of the rows that these are a part of."""
    return data.fingerprint.partition(":")[0]


def _machine(threads: int | None) -> tuple[str, ...]:
    """What times depend on besides the request: of another machine, or with other libraries, they are others."""
    from compress.apply import versions
    from ftc.machine import processor
    from ftc.runtimes.session import SessionOptions

    count = SessionOptions(threads).thread_count()
    return processor().model, f"{count} threads", *(f"{name} {version}" for name, version in versions().items())


def _searched(planned: Planned, artifacts: Path, workshop: Workshop | None, *, fixed: bool) -> Result:
    """Search, unless that was done before, from where an earlier run was killed."""
    from bench.winner import board_of
    from ftc.search.search import Search
    from ftc.search.workshop import Processes

    store = Store(Journal(planned.journal))
    search = Search(
        root=planned.root,
        given=planned.declared,
        request=planned.request,
        source=planned.source,
        parts=planned.parts,
        place=planned.place,
        store=store,
        workshop=workshop or Processes(planned.place / "logs"),
        first=planned.chains,
        fixed=fixed,
        final=planned.final,
    )
    ended = store.ended()
    if ended is not None and (board := board_of(artifacts, ended.run)) is not None:
        won = choose(board, planned.request)[0].candidate
        if won.is_root or any(store.of(name) for name in store.built(won.id)):
            say("searched already with just this request and these rows; --force searches anew")
            return _result(planned, search, board)
        say(
            f"searched already, but {won.path} is gone or damaged: the search goes on, and builds again what is missing"
        )
    elif store.begun() is None:
        store.add(lambda _at: planned.begun())
    else:
        say(f"going on with a search that was interrupted after {store.elapsed_s:.0f} s")
        if any(isinstance(entry, Failed) for entry in store.journal.entries):
            say("what had failed is not tried again, a full disk or a kill included: --force searches anew")
    finalists = search.run()
    began = time.monotonic()
    board = _measured(planned, search, finalists, artifacts)
    best, _, reason = choose(board, planned.request, search.untried())
    store.add(lambda at: Ended(board.run, best.candidate.id, reason, time.monotonic() - began, at))
    return _result(planned, search, board)


def _measured(planned: Planned, search: Search, finalists: Sequence[str], artifacts: Path) -> Leaderboard:
    """The final measurement: all rows of the final score, the checkpoint and the baseline among the candidates."""
    from bench.options import Options
    from bench.results import FILE_NAME
    from bench.run import bench
    from ftc.search.job import reopened
    from ftc.search.request import Objective

    reopened(planned.root.path, planned.declared, planned.root.manifest.id)
    chosen = [planned.root, search.store.artifact(plan.REFERENCE), *map(search.store.of, finalists)]
    # a recipe may spell out the options of the baseline, and make it a second time
    candidates = list({artifact.manifest.id: artifact for artifact in chosen if artifact is not None}.values())
    request = planned.request
    options = Options(
        threads=request.threads,
        time_budget_s=pace.timing_s(request.budget_s),
        max_drop_points=max(0.0, search.judging.allowed_points),
        seed=request.seed,
        scenario="Offline" if request.objective is Objective.THROUGHPUT else "SingleStream",
    )
    say(f"the final measurement: {len(candidates)} candidates on {len(planned.final)} rows that tuned nothing")
    return bench(
        candidates,
        data=planned.final,
        options=options,
        results_path=artifacts / FILE_NAME,
        choose=lambda board: choice(board, request, search.untried()),
    )


def _result(planned: Planned, search: Search, board: Leaderboard) -> Result:
    best, is_better, reason = choose(board, planned.request, search.untried())
    store = search.store
    return Result(
        winner=Path(best.candidate.path),
        is_better=is_better,
        reason=reason,
        board=board,
        rows=_rows(search, board, best, f"won: {reason}" if is_better else reason),
        journal=planned.journal,
        seconds=store.journal.elapsed_s,
        building_s=store.building_s,
        measuring_s=store.measuring_s,
    )


def _rows(search: Search, board: Leaderboard, best: Standing, of_best: str) -> tuple[Row, ...]:
    from ftc.search.result import refusal

    store, untried = search.store, search.untried()
    standings = {standing.candidate.id: standing for standing in board.standings}
    finished = [e.key for e in store.journal.entries if isinstance(e, (Built, Failed))]
    planned_first = [name for name in map(key, search.first) if name in finished]  # as twins are told apart by it
    first: dict[str, str] = {}  # of each artifact, by its id, the row that tells of it
    rows = []
    for name in dict.fromkeys(name for name in [*planned_first, *finished, *untried] if name != TABLE):
        found, failure = store.of(name), store.failed(name)
        twin = first.setdefault(found.manifest.id, name) if found is not None else name
        judged, timed, predicted = store.judged(name), store.timed(name), store.predicted(name)
        standing = standings.get(found.manifest.id) if found is not None else None
        measured = timed.ratio if timed is not None else None
        drop = judged.points if judged is not None else None
        if twin != name:
            fate = f"the same as {twin}"
        elif standing is best:
            fate = of_best
        elif standing is not None:
            behind = best.candidate.name
            fate = refusal(standing, board, search.request) or f"behind {behind}: see the leaderboard"
        elif failure is not None:
            fate = f"failed: {failure}"
        elif found is None:
            fate = "no time left to try it" if name in untried else "no longer there, where it was built"
        elif judged is not None and judged.verdict == "hopeless":
            fate = f"dropped early: surely loses {judged.low_points:.1f} points or more on the rows that judge"
        elif timed is not None:
            fate = search.contender(name).behind
        elif judged is not None and found.manifest.format != search.root.manifest.format:
            fate = "not compared: timing it beside the float export failed, or took too long"
        else:
            fate = "a stage on the way to others"
        if standing is not None:
            ratio = standing.ratio_to_float_onnx or standing.ratio_to_root
            measured, drop = ratio.value if ratio is not None else None, standing.drop_points
        rows.append(
            Row(
                name,
                found.manifest.name if found is not None else name,
                found.path if found is not None else None,
                predicted.ratio if predicted is not None else None,
                measured,
                drop,
                fate,
            )
        )
    return tuple(sorted(rows, key=lambda row: (not row.fate.startswith("won"), -(row.measured or 0.0))))
