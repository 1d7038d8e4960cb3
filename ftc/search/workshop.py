"""Where work is handed out: an interface, and the processes of this machine that implement it.

Each piece of work has a process of its own, with a time limit and a memory limit, so that one that crashes, hangs or
wants more memory than there is ends alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

import psutil

from ftc import gpu
from ftc.errors import InputError, RunError
from ftc.machine import memory_limit_bytes

_PACKAGES = str(Path(__file__).resolve().parents[2])

_LOOK_S = 0.25
"""How often a process's memory is looked at."""

_MEMORY_SHARE = 0.9
"""Of what is free when the work begins; the rest keeps the machine alive."""

_CORES_EACH = 2
"""Converters use little more than one core, and a training all of them."""


@dataclass(frozen=True, slots=True)
class Order:
    """A piece of work.

    :param key: what it is for, in words
    :param request: what `ftc.search.job` takes
    :param limit_s: what it may take
    """

    key: str
    request: dict[str, Any]
    limit_s: float


@dataclass(frozen=True, slots=True)
class Done:
    """How a piece of work went.

    :param result: what the job answered; None if it failed
    :param failure: why it did
    :param outgrew: whether that was for wanting more memory than it could have
    """

    order: Order
    result: dict[str, Any] | None
    failure: str | None
    seconds: float
    outgrew: bool = False


class Workshop(Protocol):
    """Takes orders, and gives each back when it is done."""

    @property
    def slots(self) -> int:
        """How many it works on side by side."""
        ...

    def do(self, orders: Sequence[Order]) -> Iterator[Done]:
        """Work on all of them, side by side where there is room; each comes as soon as it is done.

        :raises InputError: if what is searched changed meanwhile
        :raises RunError: if what the work prints cannot be written
        """
        ...


class Processes:
    """This machine.

    :param log: a directory for what the work prints
    :param at_once: pieces of work side by side; None for as many as the cores allow
    """

    def __init__(self, log: Path, at_once: int | None = None) -> None:
        self._log = log
        self.slots = at_once or max(1, len(os.sched_getaffinity(0)) // _CORES_EACH)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def do(self, orders: Sequence[Order]) -> Iterator[Done]:
        """See `Workshop.do`; a caller that stops asking ends what is running.

        What is done side by side shares the memory. What wants more than its part is done once more at the end, alone.
        """
        parts = max(1, min(self.slots, len(orders)))
        outgrown: list[Done] = []
        with closing(self._side_by_side(orders, _free_bytes() // parts)) as working:
            for done in working:
                if done.outgrew and parts > 1:
                    outgrown.append(done)
                else:
                    yield done
        for before in outgrown:
            with closing(self._side_by_side([before.order], _free_bytes())) as working:
                for done in working:
                    yield replace(done, seconds=before.seconds + done.seconds)

    def _side_by_side(self, orders: Sequence[Order], memory_bytes: int) -> Generator[Done]:
        """:param memory_bytes: that each may have"""
        pool = ThreadPoolExecutor(self.slots)
        self._is_closed = False
        pending: set[Future[Done]] = set()
        try:
            pending = {pool.submit(self._one, order, memory_bytes) for order in orders}
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            self._is_closed = True
            for future in pending:
                future.cancel()
            for process in tuple(self._running):
                _end(process)
            pool.shutdown()

    def _words_of(self, order: Order) -> IO[bytes]:
        """The file for what a piece of work prints.

        :raises RunError: if it cannot be written: that says nothing of the work, and is no failure of it
        """
        path = self._log / f"{order.request['name']}.log"
        try:
            self._log.mkdir(parents=True, exist_ok=True)
            return path.open("wb")
        except OSError as error:
            raise RunError(
                f"cannot write to {path}: {error.strerror}. Mend that, and the same command goes on."
            ) from error

    def _one(self, order: Order, memory_bytes: int) -> Done:
        began = time.monotonic()
        if self._is_closed:
            return Done(order, None, "stopped", 0.0)
        with self._words_of(order) as words:
            try:
                process = _started(words)
            except OSError as error:
                return Done(order, None, f"its process could not be started: {error.strerror}", 0.0)
            self._running.add(process)
            try:
                if self._is_closed:  # meanwhile: the caller has ended those that it saw, and this was none of them
                    return Done(order, None, "stopped", 0.0)
                answer = _watched(process, order, memory_bytes)
            except (TimeoutError, MemoryError) as error:
                outgrew = isinstance(error, MemoryError)
                return Done(order, None, str(error), time.monotonic() - began, outgrew)
            finally:
                _end(process)
                self._running.discard(process)
        seconds = time.monotonic() - began
        if answer is None:
            return Done(
                order, None, f"its process {_how(process.returncode)}; its last words: {_tail(words.name)}", seconds
            )
        if "changed" in answer:
            raise InputError(answer["changed"])
        return Done(order, answer.get("made"), answer.get("failed"), seconds)


def _free_bytes() -> int:
    """What work may take of the memory that is free, on the machine and in this process's control group."""
    free = psutil.virtual_memory().available
    limit = memory_limit_bytes()
    if limit is not None:
        free = min(free, max(0, limit - _memory_of(os.getpid())))
    return int(_MEMORY_SHARE * free)


def _started(words: IO[bytes]) -> subprocess.Popen[bytes]:
    """:raises OSError: if the system has no room for another process"""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "ftc.search.job"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        start_new_session=True,
        env={
            **os.environ,
            **gpu.ORDER,
            "TQDM_DISABLE": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (_PACKAGES, os.environ.get("PYTHONPATH")))),
        },
    )


def _watched(process: subprocess.Popen[bytes], order: Order, memory_bytes: int) -> dict[str, Any] | None:
    """What the process answers; None where it ended by itself.

    :raises TimeoutError: if it takes longer than it may
    :raises MemoryError: if it wants more memory than it may have
    """
    assert process.stdin is not None
    assert process.stdout is not None
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order.request).encode() + b"\n")
        process.stdin.flush()
    until = time.monotonic() + order.limit_s
    while reader.is_alive():
        reader.join(_LOOK_S)
        if time.monotonic() > until:
            raise TimeoutError(f"took longer than {order.limit_s:.0f} s")
        used = _memory_of(process.pid)
        if used > memory_bytes:
            raise MemoryError(f"wanted more than the {memory_bytes / 1e9:.1f} GB of memory that it could have")
    answer: dict[str, Any] | None = json.loads(lines[0]) if lines and lines[0] else None
    return answer


def _memory_of(pid: int) -> int:
    """Resident bytes of a process and of those that it started."""
    used = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                used += one.memory_info().rss
    return used


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):
            stream.close()  # type: ignore[union-attr]


def _how(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed (the system does this when memory runs out)"
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _tail(path: str) -> str:
    lines = Path(path).read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "none"
