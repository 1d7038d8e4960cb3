"""The parent's end of a worker: starts it, asks, blocks for the answer, stops it meanwhile, and knows why it died."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from bench import wire
from bench.cores import held_to
from ftc import gpu
from ftc.console import verbosity
from ftc.errors import RunError
from ftc.manifest import to_json

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Example

_PACKAGES = str(Path(__file__).resolve().parents[1])

LIMIT_S = 300.0
"""What a worker may take for one answer; a large model may take minutes to load."""

_SLOWER = 3.0
"""Many rows at once may take so many times as long for each as rows before them took, if that is more."""


class WorkerError(RunError):
    """A candidate could not be opened, or its process died; the message says why."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process; see `ftc.measurement.Measurement` and `bench.on_gpu.OnGpu`."""

    peak_rss_bytes: int
    peak_gpu_bytes: int | None = None
    energy_mj: int = 0
    computed_ns: int = 0


class Worker:
    """A process for one candidate; ends with the `with` block, however that is left.

    It is stopped (SIGSTOP) from each of its answers to the next question, where the system would wake it if this
    process were killed meanwhile. Thread pools spin on after their last call, ONNX Runtime's for 25 ms of processor
    time: they would slow down whichever candidate is next, and waiting for them takes half of what a turn does.

    :param cores: that the process is held to; None leaves it free
    :param limit_s: what it may take for one answer, before it counts as hung and is killed
    :param variant: how the candidate is executed on a GPU
    :param module: what runs in the process
    :param hung_after_s: what it was given for the answer that did not come; None while it answers
    """

    def __init__(
        self,
        artifact: Artifact,
        threads: int,
        device: str,
        *,
        cores: Sequence[int] | None = None,
        limit_s: float = LIMIT_S,
        variant: str | None = None,
        module: str = "bench.worker",
    ) -> None:
        self._artifact, self._threads, self._device = artifact, threads, device
        self._cores, self.limit_s, self._module = cores, limit_s, module
        self._variant = variant
        self._is_given_up = self._may_be_stopped = False
        self.hung_after_s: float | None = None
        self._row_s = 0.0
        self._sizes: list[list[int]] = []
        self._words: IO[bytes] | None = None
        if not verbosity.libraries:
            self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the `with` block ends
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if self._words is not None:
            self._words.close()

    def end(self) -> None:
        """End the process, if there is one; `open` starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                # the dead process may not have read the last request
                with contextlib.suppress(BrokenPipeError):
                    stream.close()  # type: ignore[union-attr]
            self.process = None

    def give_up(self) -> None:
        """End the process, and any that is started yet: a thread that waits for its answer waits no more."""
        self._is_given_up = True
        if (process := self.process) is not None:
            process.kill()

    def open(self) -> dict[str, Any]:
        """Start the process and open the candidate in it.

        :return: `load_ns` and the session's own `session` conditions
        :raises WorkerError: if it cannot be opened, as everything that is asked raises it
        """
        self.hung_after_s = None
        environment = {
            **os.environ,
            **gpu.ORDER,
            "TOKENIZERS_PARALLELISM": "false",
            "OMP_NUM_THREADS": str(self._threads),
            "PYTHONPATH": os.pathsep.join(filter(None, (_PACKAGES, os.environ.get("PYTHONPATH")))),
        }
        # -P: a file named bench.py in the user's working directory must not be taken for this package.
        # A fresh interpreter, not multiprocessing: that would run a script without a __main__ guard again.
        try:
            with held_to(self._cores):
                self.process = subprocess.Popen(
                    [sys.executable, "-P", "-m", self._module],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._words,
                    env=environment,
                )
        except OSError as error:
            raise WorkerError(f"its process could not be started: {error.strerror}") from error
        if self._is_given_up:
            self.process.kill()
        answer, _ = self._ask(
            do="open",
            manifest=to_json(self._artifact.manifest),
            path=str(self._artifact.path),
            threads=self._threads,
            device=self._device,
            variant=self._variant,
        )
        self._may_be_stopped = answer["may_be_stopped"]
        return answer

    def prepare(self, examples: Sequence[Example], cells: Sequence[Sequence[Sequence[int]]]) -> float:
        """See `bench.worker.Subject.prepare`."""
        texts, images = wire.packed(examples)
        self._sizes = [[len(rows) for rows in batches] for batches in cells]
        listed = [[list(rows) for rows in batches] for batches in cells]
        return float(self._ask(images, do="prepare", examples=texts, cells=listed)[0]["warming"])

    def first_call(self, example: Example) -> int:
        """See `bench.worker.Subject.first_call`."""
        texts, images = wire.packed([example])
        first_ns = int(self._ask(images, do="first", examples=texts)[0]["ns"])
        self._row_s = first_ns / 1e9
        return first_ns

    def around(self, examples: Sequence[Example]) -> dict[str, list[int]]:
        """See `bench.worker.Subject.around`."""
        texts, images = wire.packed(examples)
        return self._ask(images, rows=len(examples), do="around", examples=texts)[0]

    def warm(self) -> None:
        """See `bench.worker.Subject.warm`."""
        row_s = self._row_s
        self._ask(rows=sum(sum(sizes) for sizes in self._sizes), do="warm")
        self._row_s = row_s  # a part of the rows tells nothing of what all may take

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        """See `bench.worker.Subject.turn`."""
        arrivals = list(arrivals_ns) if arrivals_ns is not None else None
        orders = [list(order) for order in picks]
        rows = sum(sizes[batch] for sizes, order in zip(self._sizes, orders, strict=True) for batch in order)
        waiting_s = arrivals[-1] / 1e9 if arrivals else 0.0
        asked = self._ask(rows=rows, waiting_s=waiting_s, do="turn", picks=orders, arrivals_ns=arrivals)
        return list(asked[0]["ns"])

    def answer(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """See `bench.worker.Subject.answer`."""
        texts, images = wire.packed(examples)
        return self._ask(images, rows=len(examples), do="answer", examples=texts)[1]

    def usage(self) -> Usage:
        """What the present process has needed so far."""
        return Usage(**self._ask(do="usage")[0])

    def _ask(
        self, arrays: wire.Arrays | None = None, *, rows: int = 1, waiting_s: float = 0.0, **request: Any
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """:param waiting_s: until the last query arrives, which is nothing that the candidate takes"""
        assert self.process is not None, "opened first"
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        limit_s = max(self.limit_s, _SLOWER * rows * self._row_s) + waiting_s
        began = time.monotonic()
        watch = threading.Timer(limit_s, self._hung, [limit_s])
        watch.daemon = True
        watch.start()
        reply = None
        try:
            self.process.send_signal(signal.SIGCONT)
            with contextlib.suppress(BrokenPipeError):
                wire.send(self.process.stdin, request, arrays)
                reply = wire.receive(self.process.stdout)
            if reply is None:
                self.process.wait()  # stopped on its way out, it would never end
            elif self._may_be_stopped:
                self.process.send_signal(signal.SIGSTOP)
        finally:
            watch.cancel()
        if self.hung_after_s is not None:
            raise WorkerError(
                f"its process gave no answer within {limit_s:g} s at {request['do']!r} and was ended; "
                "if the model is that slow, ftc bench --time-limit 10m gives it longer"
            )
        if reply is None:
            raise WorkerError(_post_mortem(self.process.wait(), str(request["do"]), self._words))
        if "failed" in reply[0]:
            raise WorkerError(reply[0]["failed"])
        if rows > 1:  # a first call may be slow for reasons of its own
            self._row_s = min(self._row_s, (time.monotonic() - began) / rows)
        return reply

    def _hung(self, limit_s: float) -> None:
        """End the process, whose pipe then closes: the thread that waits for the answer wakes up."""
        assert self.process is not None, "asked first"
        self.hung_after_s = limit_s
        self.process.kill()


def _post_mortem(code: int, stage: str, words: IO[bytes] | None) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    if code == -signal.SIGKILL:
        how += " (the system does this when memory runs out)"
    lines: list[str] = []
    if words is not None:
        words.seek(0)
        lines = words.read().decode(errors="replace").strip().splitlines()
    return f"its process {how} at {stage!r}" + (f": {lines[-1][:200]}" if lines else "")
