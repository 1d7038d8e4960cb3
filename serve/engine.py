"""Rows of all requests that are being answered, batched by length, and the threads that run them."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from serve.batches import together
from serve.refusal import Refusal

if TYPE_CHECKING:
    from ftc.tasks.classification import Prediction
    from ftc.tasks.encoding import Encoded

STUCK_S = 60.0
"""A single run of the model that takes longer than this will not end; the service then says that it is not alive."""

Answerer = Callable[[Sequence["Encoded"]], list["Prediction"]]


@dataclass(slots=True)
class _Job:
    """One request's rows; only the event loop's thread touches it."""

    done: asyncio.Future[list[Prediction]]
    answers: dict[int, Prediction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    job: _Job
    place: int
    of: int
    encoded: Encoded
    arrived_s: float


class Engine:
    """Takes rows from the event loop, and answers them in its own threads as soon as one of these is free.

    Nothing waits for a batch to fill unless it is told to: what has gathered while the model was busy goes together,
    rows of like length with the one that has waited longest. The queue holds no more rows than `max_queue`.
    """

    def __init__(
        self,
        answer: Answerer,
        *,
        callers: int,
        max_batch_size: int,
        max_queue: int,
        max_latency_s: float,
        batch_wait_s: float = 0.0,
    ) -> None:
        """:param answer: called from `callers` threads at once
        :param max_latency_s: a row that has waited so long is refused instead of run
        :param batch_wait_s: how long a row waits for others while there are fewer than `max_batch_size`
        """
        self._answer = answer
        self._max_batch_size, self._max_queue, self._max_latency_s = max_batch_size, max_queue, max_latency_s
        self._batch_wait_s = batch_wait_s
        self._inside = 0
        self._waiting: list[_Row] = []
        self._changed = threading.Condition()
        self._closing = False
        self._row_s = 0.0
        self._busy_since_s: list[float | None] = [None] * callers
        self._threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(callers)]

    def start(self) -> None:
        """Start the threads; the event loop that runs now is the one that `answer` is called on."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Answer what waits, and end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether every thread runs, and none has been in one run of the model for longer than `STUCK_S`."""
        now_s = time.monotonic()
        stuck = any(since is not None and now_s - since > STUCK_S for since in self._busy_since_s)
        return not stuck and all(thread.is_alive() for thread in self._threads)

    @contextmanager
    def place(self, rows: int = 1) -> Iterator[None]:
        """Room in the queue for as long as the block runs.

        :raises Refusal: 503 if there is none
        """
        if self._inside + rows > self._max_queue:
            wait_s = self._row_s * self._inside / len(self._threads)
            raise Refusal(503, "too many requests are waiting; try again later", max(1, math.ceil(wait_s)))
        self._inside += rows
        try:
            yield
        finally:
            self._inside -= rows

    async def answer(self, rows: Sequence[Encoded]) -> list[Prediction]:
        """One prediction for each row, in their order.

        :raises Refusal: 503 if they have waited too long
        """
        job, now_s = _Job(self._loop.create_future()), time.monotonic()
        with self._changed:
            self._waiting += [_Row(job, place, len(rows), row, now_s) for place, row in enumerate(rows)]
            self._changed.notify(len(rows))
        return await job.done

    def _work(self, number: int) -> None:
        while True:
            with self._changed:
                while not self._closing and (left_s := self._left_s()) != 0.0:
                    self._changed.wait(left_s)
                if not self._waiting:
                    return
                rows = self._taken()
            begun_s = self._busy_since_s[number] = time.monotonic()
            answers: list[Prediction] | Exception
            try:
                if begun_s - rows[0].arrived_s > self._max_latency_s:
                    answers = Refusal(503, "the request has waited too long; try again later", 1)
                else:
                    answers = self._answer([row.encoded for row in rows])
            except Exception as error:  # whatever it is, it is the requests' answer, and the thread lives on
                answers = error
            self._busy_since_s[number] = None
            self._row_s += 0.1 * ((time.monotonic() - begun_s) / len(rows) - self._row_s)
            self._loop.call_soon_threadsafe(_deliver, rows, answers)

    def _left_s(self) -> float | None:
        """Until there is something to run; None while nothing waits."""
        if not self._waiting:
            return None
        if self._batch_wait_s == 0.0 or len(self._waiting) >= self._max_batch_size:
            return 0.0
        return max(0.0, self._waiting[0].arrived_s + self._batch_wait_s - time.monotonic())

    def _taken(self) -> list[_Row]:
        # no more than its share, so that the other threads have something to run, too
        share = math.ceil(len(self._waiting) / len(self._threads))
        places = together([row.encoded.length for row in self._waiting], min(self._max_batch_size, share))
        rows = [self._waiting[place] for place in places]
        for place in reversed(places):
            del self._waiting[place]
        return rows


def _deliver(rows: Sequence[_Row], answers: list[Prediction] | Exception) -> None:
    for number, row in enumerate(rows):
        if row.job.done.done():  # another of its rows has failed, or its request was given up
            continue
        if isinstance(answers, Exception):
            row.job.done.set_exception(answers)
            continue
        row.job.answers[row.place] = answers[number]
        if len(row.job.answers) == row.of:
            row.job.done.set_result([row.job.answers[place] for place in range(row.of)])
