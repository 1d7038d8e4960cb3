"""The whole job with the demo's model, by the calls that the commands make."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftc.console import say
from ftc.demo.place import ARTIFACTS, BENTOS, LOG, made_once, prepare
from ftc.demo.subject import DATA
from ftc.errors import RunError
from ftc.quiet import quiet_libraries

if TYPE_CHECKING:
    from bench.leaderboard import Leaderboard
    from compress.steps import Mode
    from ftc.artifact import Artifact
    from ftc.data import Dataset
    from ftc.demo.subject import Subject
    from serve.package import Packaged

TIMING_BUDGET_S = 12.0
THREADS = 1
"""Threads of one model call, measured and served: models this small gain little from more, and a machine that is
busy with other things still gives clear ratios."""
_NAME_WIDTH = 9


@dataclass(frozen=True, slots=True)
class Answer:
    """:param score: probability of the label, 0-1"""

    question: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Done:
    """What the demo has shown, and the commands that go on from there."""

    board: Leaderboard
    packaged: Packaged
    answer: Answer
    next: tuple[tuple[str, str], ...]


def run(subject: Subject, directory: Path, *, force: bool = False, timing_budget_s: float = TIMING_BUDGET_S) -> Done:
    """Make data and a model, compress, measure, package and serve it; everything lands in `directory`.

    A second run in the same directory finds data, model and artifacts done, and measures and packages again.

    :param timing_budget_s: what timing may take, all candidates together
    :raises InputError: if `directory` holds something else
    :raises RunError: if a stage fails
    """
    prepare(directory, subject, force=force)
    data, checkpoint, artifacts = directory / DATA, directory / subject.name, directory / ARTIFACTS
    stage = _Stages(total=len(subject.modes) + 5)
    with stage("data") as did:
        did(f"{data}: {made_once(data, subject.write_data)}")
    with stage("model") as did, quiet_libraries():
        did(f"{checkpoint}: {made_once(checkpoint, lambda draft: subject.train_into(data, draft))}")
    for mode in subject.modes:
        with stage(mode) as did:
            did(_described(_quantized(checkpoint, data / subject.train, artifacts, mode)))
    with stage("bench") as did:
        board = _measured(checkpoint, data / subject.test, artifacts, timing_budget_s)
        did(f"{len(board.standings)} candidates, each in its own process, on {data / subject.test}")
    with stage("package") as did:
        winner, packaged = _packaged(artifacts, directory)
        did(f"{packaged.tag}, started, and {packaged.replayed} golden examples answered as by the artifact")
    with stage("serve") as did:
        answer = _asked(packaged.tag, subject, directory)
        did("asked the service over HTTP, and stopped it again")
    return Done(board, packaged, answer, _next(subject, directory, winner, packaged))


class _Stages:
    """Announces each stage when it is over: its number, its name, what it did, how long it took."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._over = 0

    @contextmanager
    def __call__(self, name: str) -> Iterator[Callable[[str], None]]:
        begun_s = time.monotonic()
        words: list[str] = []
        yield words.append
        self._over += 1
        place = f"[{self._over}/{self._total}]"
        say(f"{place} {name:<{_NAME_WIDTH}}{', '.join(words)}  ({time.monotonic() - begun_s:.1f} s)")


def _quantized(checkpoint: Path, data: Path, artifacts: Path, mode: Mode) -> Artifact:
    from compress.verbs import quantize
    from ftc.checkpoint import open_any

    source = open_any(checkpoint)
    rows = _rows(data, source) if mode == "static" else None
    return quantize(source, artifacts, mode=mode, data=rows)


def _described(artifact: Artifact) -> str:
    parent = artifact.manifest.lineage[-2].name
    return f"{artifact.path}: INT8 from {parent}, {artifact.manifest.facts.size_bytes / 1e6:.1f} MB"


def _measured(checkpoint: Path, data: Path, artifacts: Path, budget_s: float) -> Leaderboard:
    from bench.candidates import select
    from bench.results import FILE_NAME
    from bench.run import Options, bench

    candidates = select((), artifacts, checkpoint)
    return bench(
        candidates,
        data=_rows(data, candidates[0]),
        options=Options(threads=THREADS, time_budget_s=budget_s),
        results_path=artifacts / FILE_NAME,
    )


def _rows(data: Path, artifact: Artifact) -> Dataset:
    from ftc.data import load
    from ftc.tasks import TASKS

    modality = TASKS.load(artifact.manifest.task).modality
    return load(str(data), modality=modality, classes=artifact.manifest.labels, need_labels=True)


def _packaged(artifacts: Path, directory: Path) -> tuple[Artifact, Packaged]:
    if "BENTOML_HOME" not in os.environ and "bentoml" not in sys.modules:
        # the Bento belongs to the demo, not among those of the user; BentoML reads this once, when imported
        store = (directory / BENTOS).resolve()
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        os.environ["BENTOML_HOME"] = str(store)
    from bench.winner import latest_winner
    from serve.bundle import Settings
    from serve.package import package

    winner = latest_winner(artifacts)
    return winner, package(winner, Settings(threads=THREADS))


def _asked(tag: str, subject: Subject, directory: Path) -> Answer:
    from serve.replay import request_body
    from serve.server import free_port, running

    words, example = subject.question(directory / DATA)
    path = directory / LOG
    try:
        with path.open("wb") as log, running(tag, directory, "127.0.0.1", free_port(), log) as server:
            server.wait_until_ready()
            (prediction,) = server.post("/predict", request_body(example))
    except RunError as error:
        raise RunError(f"{error}. What the service said is in {path}.") from error
    return Answer(words, prediction["label"], prediction["score"])


def _next(subject: Subject, directory: Path, winner: Artifact, packaged: Packaged) -> tuple[tuple[str, str], ...]:
    chosen, made, test, bentos = (
        shlex.quote(str(path))
        for path in (winner.path, directory / ARTIFACTS, directory / DATA / subject.test, directory / BENTOS)
    )
    ours = Path(packaged.path).is_relative_to((directory / BENTOS).resolve())
    setting = f"BENTOML_HOME={bentos} " if ours else ""
    return (
        (f"ftc inspect {chosen}", "what the winner is and how it came about"),
        (f"ftc bench --artifacts {made} --data {test}", "measure again, on all cores"),
        (f"ftc serve {chosen}", "serve it until Ctrl-C"),
        (f"{setting}bentoml containerize {packaged.tag}", "make a Docker image of the Bento"),
        ("ftc quantize CHECKPOINT", "begin with a model of your own"),
    )
