"""One candidate in a process of its own: opens it, answers rows, and lets itself be timed when asked."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter

from bench import wire
from bench.clock import WARM_CALLS, Clock, rest, time_calls
from ftc.artifact import Artifact
from ftc.errors import FtcError
from ftc.manifest import Manifest
from ftc.quiet import quiet_libraries
from ftc.runtimes.session import Session, SessionOptions, open_session
from ftc.tasks.task import Task, open_task

if TYPE_CHECKING:
    from ftc.data import Example

Kind = Literal["single", "batch"]


class Subject:
    """An opened candidate with the timed examples already encoded: a timed call is the model alone."""

    def __init__(self, task: Task, session: Session, clock: Clock = time.perf_counter_ns) -> None:
        self._task, self._session, self._clock = task, session, clock
        self._inputs: dict[Kind, list[dict[str, np.ndarray]]] = {"single": [], "batch": []}

    def prepare(self, examples: Sequence[Example], batches: Sequence[Sequence[int]]) -> list[int]:
        """Encode the timed examples, one by one and in batches of the given rows.

        :return: nanoseconds for encoding each single example, tokenizing or resizing included
        """
        encode_ns = []
        for example in examples:
            begin = self._clock()
            self._inputs["single"].append(self._task.encode([example]))
            encode_ns.append(self._clock() - begin)
        self._inputs["batch"] = [self._task.encode([examples[row] for row in rows]) for rows in batches]
        return encode_ns

    def sample(self, kind: Kind, order: Sequence[int], warm: int = WARM_CALLS) -> list[int]:
        """Nanoseconds of one model call for each single example or batch in `order`."""
        inputs = [self._inputs[kind][index] for index in order]
        return time_calls(self._session, inputs, warm=warm, clock=self._clock)

    def answer(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """The model's outputs (N, classes) float32, each row in a batch of one.

        With dynamic INT8 a row's answer depends on the others of its batch, and what a service puts together
        is chance: the batch of one is what can be repeated.
        """
        runs = [self._session.run(self._task.encode([example])) for example in examples]
        return {name: np.concatenate([outputs[name] for outputs in runs]) for name in runs[0]}


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
    session = open_session(artifact, SessionOptions(request["threads"], request["device"]))
    task = open_task(artifact)
    load_ns = time.perf_counter_ns() - begin
    return Subject(task, session), {"load_ns": load_ns, "session": session.conditions()}


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until the pipe closes; between them the process sleeps in a read."""
    subject: Subject | None = None
    while (frame := wire.receive(requests)) is not None:
        request, arrays = frame
        answer: dict[str, Any] = {}
        outputs: dict[str, np.ndarray] = {}
        try:
            if request["do"] == "open":
                subject, answer = _open(request)
            elif request["do"] == "memory":
                answer = {"peak_rss_bytes": peak_rss_bytes()}
            else:
                assert subject is not None, "a candidate is opened before anything else is asked of it"
                if request["do"] == "prepare":
                    examples = wire.unpacked(request["examples"], arrays)
                    answer = {"encode_ns": subject.prepare(examples, request["batches"])}
                elif request["do"] == "sample":
                    answer = {"ns": subject.sample(request["kind"], request["order"], request["warm"])}
                elif request["do"] == "answer":
                    outputs = subject.answer(wire.unpacked(request["examples"], arrays))
        except FtcError as error:
            answer = {"failed": str(error)}
        rest()
        wire.send(replies, answer, outputs)


def main() -> None:
    """Serve on stdin and stdout; whatever else prints to stdout is sent to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with quiet_libraries():
        serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
