"""A first look at a candidate's accuracy, on no more rows than it takes to see that it is hopeless."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.remote import LIMIT_S, Worker, WorkerError
from ftc.console import Advance
from ftc.runtimes.session import SessionOptions
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset

Verdict = Literal["hopeless", "inside", "open"]

LOOKS = (100, 200, 400, 800, 1600)
"""Rows after which it is asked whether more are needed, and once more when all are answered."""

_Z = 2.64
"""Of a 95 % interval that holds at all six looks together (Bonferroni: the normal's quantile at 0.05 / 12)."""

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Screened:
    """What so many rows tell; points are hundredths of the share of rows that are answered rightly.

    :param points: lost against the reference on the same rows, with an interval that holds however often one looks
    :param score: the share (0-1) of these rows that the candidate answers rightly
    """

    rows: int
    points: float
    low_points: float
    high_points: float
    score: float
    verdict: Verdict


def answers(
    artifact: Artifact,
    data: Dataset,
    *,
    threads: int | None = None,
    device: str = "cpu",
    limit_s: float = LIMIT_S,
    most_s: float = math.inf,
    stop: Sequence[int] = (),
    reference: np.ndarray | None = None,
    allowed_points: float = 0.0,
    advance: Advance | None = None,
) -> np.ndarray:
    """Class ids (N,) int64 that a candidate answers, in a process of its own, each row in a batch of one.

    On a GPU it answers in its runtime's plain way, in float32.

    :param most_s: what all the rows may take
    :param stop: numbers of rows after which `screened` is asked whether it is hopeless, and the rest left out if so
    :param reference: (N,) int64, what the reference answers; needed to stop
    :param allowed_points: what may be lost
    :raises WorkerError: if the candidate cannot be opened, or its process dies, hangs or takes too long for the rows
    """
    task = open_task(artifact)
    until_s = time.monotonic() + most_s
    found: list[np.ndarray] = []
    done = 0
    options = SessionOptions(threads, device)
    with Worker(artifact, options.thread_count(), options.device, limit_s=limit_s) as worker:
        worker.open()
        while done < len(data):
            if time.monotonic() > until_s:
                raise WorkerError(f"answered {done} of {len(data)} rows in {most_s:.0f} s: too slow to be judged")
            until = min([len(data), done + _AT_ONCE, *(look for look in stop if look > done)])
            outputs = worker.answer(data.examples[done:until])
            found.append(task.chosen(outputs))
            if advance is not None:
                advance(until - done)
            done = until
            if done in stop and reference is not None and data.labels is not None:
                so_far = np.concatenate(found)
                if screened(data.labels[:done], reference[:done], so_far, allowed_points).verdict == "hopeless":
                    break
    return np.concatenate(found)


def screened(targets: np.ndarray, reference: np.ndarray, candidate: np.ndarray, allowed_points: float) -> Screened:
    """What rows tell of a candidate: hopeless if surely more is lost than allowed, inside if surely less.

    Rows that just one of the two answers rightly decide; half a row is added on either side (Agresti & Min, 2005, as
    in `bench.agreement`). Looking several times would find anything in the end, so the interval is that of all looks
    together (Bonferroni; Jennison & Turnbull, "Group Sequential Methods", 2000, chapter 2, on why).

    :param targets: (N,) int64
    :param reference: (N,) int64
    :param candidate: (N,) int64
    """
    rows = len(candidate)
    ours, theirs = candidate == targets[:rows], reference[:rows] == targets[:rows]
    lost, gained = int((theirs & ~ours).sum()), int((~theirs & ours).sum())
    points = 100 * (lost - gained) / rows
    total = rows + 2
    share = (lost - gained) / total
    wide = 100 * _Z * sqrt(max((lost + gained + 1) / total - share**2, 0.0) / total)
    low, high = points - wide, points + wide
    verdict: Verdict = "hopeless" if low > allowed_points else "inside" if high <= allowed_points else "open"
    return Screened(rows, points, low, high, float(ours.mean()), verdict)
