"""A second model that answers copies of the requests in a process of its own, and how its answers compare."""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serve import journal
from serve.metrics import ShadowMetrics
from serve.shadow_process import ShadowError, ShadowProcess

if TYPE_CHECKING:
    from ftc.tasks.classification import Prediction
    from serve.bundle import Bundle

MOST_COPIES = 64
MOST_BYTES = 64 * 2**20
"""Copies that wait, and their bodies together; what comes beyond them is dropped and counted."""

RESTART_S = 10.0
"""Between a shadow's end and its next start."""


@dataclass(frozen=True, slots=True)
class _Copy:
    raw: bytes
    content_type: bytes
    answers: Sequence[Prediction]


class Shadow:
    """What the event loop hands copies to; it never waits, whatever becomes of them.

    The model runs in another process, at the lowest priority and with one thread: in this process, it would hold the
    interpreter's lock while others wait for it. `wrong` says what it answered otherwise than it should.
    """

    @classmethod
    def open(cls, name: str, bundle: Bundle) -> Shadow:
        """Start the process and let it answer its golden examples."""
        return cls(name, bundle, ShadowProcess.start(bundle))

    def __init__(self, name: str, bundle: Bundle, process: ShadowProcess) -> None:
        self.name, self._bundle, self._process = name, bundle, process
        manifest = bundle.artifact.manifest
        self._metrics = ShadowMetrics(manifest.task, name, manifest.labels)
        self.wrong = process.wrong
        if self.wrong is not None:
            journal.failed("not ready", variant=name, reason=self.wrong)
        self._copies: queue.Queue[_Copy | None] = queue.Queue()
        self._bytes = 0
        self._counting = threading.Lock()  # two threads add to it
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()
        journal.write("started", name=manifest.name, id=manifest.id, role="shadow")

    def offer(self, raw: bytes, content_type: bytes, answers: Sequence[Prediction]) -> None:
        """Compare a request that was answered, unless there is too much to do already.

        :param answers: the first model's, in the order of the request
        """
        if self._copies.qsize() >= MOST_COPIES or self._bytes + len(raw) > MOST_BYTES:
            self._metrics.dropped["full"].inc()
            return
        with self._counting:
            self._bytes += len(raw)
        self._copies.put(_Copy(raw, content_type, answers))

    def close(self) -> None:
        """End the process; copies that wait are not compared any more."""
        self._closing.set()
        self._copies.put(None)
        self._process.end()
        self._thread.join()

    def _work(self) -> None:
        while (copy := self._copies.get()) is not None and not self._closing.is_set():
            with self._counting:
                self._bytes -= len(copy.raw)
            begun_s = time.perf_counter()
            try:
                answers = self._process.ask(copy.raw, copy.content_type)
            except ShadowError as error:
                self._metrics.dropped["failed"].inc()
                if self._closing.is_set():
                    return
                journal.failed("shadow failed", variant=self.name, reason=str(error))
                if not self._process.is_alive:
                    self._restart()
                continue
            self._metrics.seconds.observe(time.perf_counter() - begun_s)
            self._compare(copy.answers, answers)

    def _restart(self) -> None:
        while not self._closing.wait(RESTART_S):
            try:
                self._process = ShadowProcess.start(self._bundle)
            except (ShadowError, OSError, subprocess.SubprocessError) as error:
                journal.failed("shadow not started", variant=self.name, reason=str(error))
                continue
            if self._process.wrong is not None:  # comparing with it would tell nothing
                journal.failed("not ready", variant=self.name, reason=self._process.wrong)
                self._process.end()
                continue
            if self._closing.is_set():
                self._process.end()
            return

    def _compare(self, ours: Sequence[Prediction], theirs: Sequence[Prediction]) -> None:
        other: list[tuple[str, str]] = []
        largest = 0.0
        for mine, its in zip(ours, theirs, strict=True):
            difference = max(abs(score - its.scores[label]) for label, score in mine.scores.items())
            largest = max(largest, difference)
            self._metrics.difference.observe(difference)
            self._metrics.answers[its.label].inc()
            if mine.label != its.label:
                self._metrics.disagreements[mine.label].inc()
                other.append((mine.label, its.label))
        if other:
            journal.write(
                "disagreement", variant=self.name, rows=len(ours), labels=other, score_difference=round(largest, 6)
            )
