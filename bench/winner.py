"""The winner of the last run, for whoever ships it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.candidates import described, roots_declared
from bench.leaderboard import Leaderboard, rank
from bench.report import to_json
from bench.results import FILE_NAME
from ftc.artifact import Artifact, find_artifacts
from ftc.checkpoint import open_any
from ftc.console import say
from ftc.declared import Declared
from ftc.errors import InputError
from ftc.foreign.files import refuse
from ftc.results_file import read_results


def latest_winner(artifacts: Path) -> Artifact:
    """The artifact that won the most recent run on the CPU, where services run, that was not interrupted.

    :param artifacts: the directory whose `bench.jsonl` is read
    :raises InputError: if nothing was measured, nothing won, or the winner is gone or was made anew
    """
    path = artifacts / FILE_NAME
    again = f"Measure: ftc bench --artifacts {artifacts} --data FILE; or name the artifact: ftc package ARTIFACT"
    if not path.is_file():
        raise InputError(f"{artifacts} holds no measurements ({FILE_NAME}), so there is no winner yet. {again}")
    run = next((run for run in reversed(read_results(path)) if run.is_complete and run.conditions.gpu is None), None)
    if run is None:
        raise InputError(f"{path} holds no run that was measured to its end. {again}")
    board = rank(run)
    if board.winner is None:
        raise InputError(f"the run of {run.started} has no winner: {board.reason}. {again}")
    winner = board.winner
    refuse(Path(winner.path), f"packaged or served, and {winner.name} won the run of {run.started}")
    # artifacts that were moved together with their results are found beside them
    places = [artifacts / Path(winner.path).name, Path(winner.path)]
    known = roots_declared(find_artifacts(artifacts))
    for place in places:
        declared = known.get(str(place.resolve()), Declared())
        if place.exists() and described(found := open_any(place, declared), run.root_id).is_same_file(winner):
            say(f"winner of the run of {run.started}: {winner.name}, {board.reason}")
            return found
    raise InputError(
        f"{winner.name}, the winner of the run of {run.started}, is no longer at {winner.path} "
        f"with the content that was measured (id {winner.id}). {again}"
    )


def board_of(path: Path, run: str) -> Leaderboard | None:
    """The leaderboard of one run of a results file; None if it is not there."""
    found = next((one for one in (read_results(path) if path.is_file() else ()) if one.id == run), None)
    return rank(found) if found is not None else None


def measured(artifact: Artifact, artifacts: Path) -> dict[str, Any] | None:
    """The row of this very file in the latest whole run that timed it, with what it was measured under; or None.

    Runs whose self-check did not pass are left out.
    """
    path = artifacts / FILE_NAME
    for run in reversed(read_results(path)) if path.is_file() else ():
        if not run.is_complete:
            continue
        ranked, one = rank(run), described(artifact, run.root_id)
        if ranked.self_check is not None and not ranked.self_check.passed:
            continue
        board = json.loads(to_json(ranked))
        for standing, row in zip(ranked.standings, board["standings"], strict=True):
            if standing.candidate.is_same_file(one) and standing.verdict != "failed":
                del row["candidate"]["path"]  # of this machine, nothing to tell a service's users
                return {**row, "main_metric": board["main_metric"], "conditions": board["conditions"]}
    return None
