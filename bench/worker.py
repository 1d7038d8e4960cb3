"""One candidate in a process of its own: opens it, answers rows, and lets itself be timed when asked."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from bench import wire
from bench.clock import Clock, settle, time_calls, time_queries, uncollected
from bench.cores import scatter
from bench.on_gpu import OnGpu, watched
from ftc.artifact import Artifact
from ftc.errors import FtcError
from ftc.manifest import Manifest
from ftc.quiet import quiet_libraries
from ftc.runtimes.session import Session, SessionOptions, open_session
from ftc.runtimes.variant import Variant
from ftc.tasks.task import Task, open_task

if TYPE_CHECKING:
    from ftc.data import Example

_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux; see prctl(2)."""


class Subject:
    """An opened candidate with the timed examples already encoded: a timed call is the model alone."""

    def __init__(
        self, task: Task, session: Session, clock: Clock = time.perf_counter_ns, on_gpu: OnGpu | None = None
    ) -> None:
        self._task, self._session, self._clock, self.on_gpu = task, session, clock, on_gpu
        self._cells: list[list[dict[str, np.ndarray]]] = []

    def prepare(self, examples: Sequence[Example], cells: Sequence[Sequence[Sequence[int]]]) -> float:
        """Encode the timed examples.

        :param cells: for each cell its batches, and for each of these the rows of `examples`
        :return: what part (0-1) of all that is in the batches `warm` calls the model with
        """
        self._cells = [[self._task.encode([examples[row] for row in batch]) for batch in batches] for batches in cells]
        whole = sum(_elements(inputs) for cell in self._cells for inputs in cell)
        return sum(map(_elements, self._of_each_shape())) / whole

    def first_call(self, example: Example) -> int:
        """Nanoseconds of one model call with a batch of one."""
        return time_calls(self._session, [self._task.encode([example])], clock=self._clock)[0]

    def around(self, examples: Sequence[Example]) -> dict[str, list[int]]:
        """Nanoseconds of what goes on around the model for each example alone.

        :return: `encode_ns`, tokenizing or resizing, and `decode_ns`, from the outputs to a prediction
        """
        around: dict[str, list[int]] = {"encode_ns": [], "decode_ns": []}
        with uncollected():
            for example in examples:
                begin = self._clock()
                inputs = self._task.encode([example])
                around["encode_ns"].append(self._clock() - begin)
                outputs = self._session.run(inputs)
                begin = self._clock()
                self._task.decode(outputs)
                around["decode_ns"].append(self._clock() - begin)
        return around

    def warm(self) -> None:
        """Call the model with one batch of each shape: runtimes prepare themselves for what they have not seen."""
        for inputs in self._of_each_shape():
            self._session.run(inputs)

    def _of_each_shape(self) -> Sequence[dict[str, np.ndarray]]:
        every = (inputs for cell in self._cells for inputs in cell)
        return tuple({tuple(values.shape for values in inputs.values()): inputs for inputs in every}.values())

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        """Nanoseconds of one model call for each batch that is picked of each cell.

        :param picks: for each cell, which of its batches; the first cell's are queries where they arrive by a schedule
        :param arrivals_ns: that schedule; see `bench.clock.time_queries`
        """
        inputs = [[cell[index] for index in order] for cell, order in zip(self._cells, picks, strict=True)]
        if self.on_gpu is None:
            return self._timed(inputs, arrivals_ns, cold=True)
        settle(self._session, inputs[0][0], self._clock)
        with self.on_gpu.turn():
            return self._timed(inputs, arrivals_ns, cold=False)

    def _timed(
        self, inputs: Sequence[Sequence[dict[str, np.ndarray]]], arrivals_ns: Sequence[int] | None, *, cold: bool
    ) -> list[list[int]]:
        if arrivals_ns is not None:
            return [time_queries(self._session, inputs[0], arrivals_ns, clock=self._clock)]
        # between cells nobody else had the caches
        return [
            time_calls(self._session, batches, cold=cold and not place, clock=self._clock)
            for place, batches in enumerate(inputs)
        ]

    def answer(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """The model's outputs (N, classes) float32, each row in a batch of one.

        With dynamic INT8 a row's answer depends on the others of its batch, and what a service puts together
        is chance: the batch of one is what can be repeated.
        """
        runs = [self._session.run(self._task.encode([example])) for example in examples]
        return {name: np.concatenate([outputs[name] for outputs in runs]) for name in runs[0]}


def _elements(inputs: Mapping[str, np.ndarray]) -> int:
    return sum(values.size for values in inputs.values())


def peak_rss_bytes() -> int:
    """The largest resident memory of this process since it began."""
    try:
        # ru_maxrss is inherited from the process that started this one; the kernel's high-water mark is not
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _open(request: Mapping[str, Any]) -> tuple[Subject, dict[str, Any]]:
    manifest = TypeAdapter(Manifest).validate_json(request["manifest"])
    artifact = Artifact(Path(request["path"]), manifest)
    begin = time.perf_counter_ns()
    variant = Variant.named(request["variant"]) if request["variant"] is not None else None
    session = open_session(artifact, SessionOptions(request["threads"], request["device"], variant))
    task = open_task(artifact)
    load_ns = time.perf_counter_ns() - begin
    gc.collect()
    gc.freeze()  # what was loaded stays: looking through it again takes torch's process a tenth of a second
    clock, on_gpu = watched(session, request["device"])
    about = {"load_ns": load_ns, "session": session.conditions(), "may_be_stopped": _wakes_if_left_alone()}
    return Subject(task, session, clock, on_gpu), about


def _wakes_if_left_alone() -> bool:
    """Let this process go on where its parent is killed while it is stopped: it reads the pipe's end, and ends.

    The signal comes as well when the thread ends that started it, where it does no harm.

    :return: False where the system has no such thing, or refuses it
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return prctl is not None and prctl(_PARENT_DEATH_SIGNAL, signal.SIGCONT) == 0


def _usage(subject: Subject | None) -> dict[str, int | None]:
    on_gpu = subject.on_gpu if subject is not None else None
    return {
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_gpu_bytes": on_gpu.peak_bytes if on_gpu is not None else None,
        "energy_mj": on_gpu.spent_mj if on_gpu is not None else 0,
        "computed_ns": on_gpu.computed_ns if on_gpu is not None else 0,
    }


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until the pipe closes; between them the process is stopped, or sleeps in a read."""
    subject: Subject | None = None
    while (frame := wire.receive(requests)) is not None:
        request, arrays = frame
        answer: dict[str, Any] = {}
        outputs: wire.Arrays = {}
        try:
            if request["do"] == "open":
                subject, answer = _open(request)
            elif request["do"] == "usage":
                answer = _usage(subject)
            else:
                assert subject is not None, "a candidate is opened before anything else is asked of it"
                answer, outputs = _asked(subject, request, arrays)
        except FtcError as error:
            answer = {"failed": str(error)}
        wire.send(replies, answer, outputs)


def _asked(subject: Subject, request: Mapping[str, Any], arrays: wire.Arrays) -> tuple[dict[str, Any], wire.Arrays]:
    match request["do"]:
        case "turn":
            scatter()
            return {"ns": subject.turn(request["picks"], request["arrivals_ns"])}, {}
        case "warm":
            subject.warm()
            return {}, {}
        case "prepare":
            return {"warming": subject.prepare(wire.unpacked(request["examples"], arrays), request["cells"])}, {}
        case "first":
            return {"ns": subject.first_call(*wire.unpacked(request["examples"], arrays))}, {}
        case "around":
            return dict(subject.around(wire.unpacked(request["examples"], arrays))), {}
        case "answer":
            return {}, subject.answer(wire.unpacked(request["examples"], arrays))
        case other:
            raise ValueError(f"nothing is known of {other!r}")


def main() -> None:
    """Serve on stdin and stdout; whatever else prints to stdout is sent to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with quiet_libraries():
        serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
