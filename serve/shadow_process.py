"""Both ends of a shadow's process: frames of bytes go in, lines of JSON come out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ftc.quiet import quiet_libraries
from ftc.tasks import TASKS
from ftc.tasks.classification import Prediction
from serve import reading
from serve.model import Model
from serve.refusal import Refusal

if TYPE_CHECKING:
    from serve.bundle import Bundle

_LENGTHS = struct.Struct("<QQ")
"""A frame begins with the bytes of the content type and of the body."""

ANSWER_S = 60.0
START_S = 180.0
"""A process that has said nothing for so long hangs, and is ended."""

LOWEST_PRIORITY = 19

SHADOW_THREADS = 1
"""Unless the settings say otherwise: no more than a core is taken from those who answer."""

_CODE = Path(__file__).resolve().parents[1]


class ShadowError(Exception):
    """A shadow gave no answer; the message says why, and holds nothing of what was asked."""


@dataclass(slots=True)
class ShadowProcess:
    """The service's end.

    :param wrong: what the model answered otherwise than it should, in words; None if it is right
    """

    _process: subprocess.Popen[bytes]
    wrong: str | None = None

    @classmethod
    def start(cls, bundle: Bundle, code: Path = _CODE) -> ShadowProcess:
        """Open the model in a process of its own; it ends when this one does.

        :param code: the directory with the packages that the process imports
        :raises ShadowError: if it cannot be opened
        """
        settings = {"threads": bundle.settings.threads, "max_items": bundle.settings.max_items}
        started = cls(
            subprocess.Popen(
                [sys.executable, "-m", __name__, str(bundle.artifact.path.resolve()), json.dumps(settings)],
                cwd=code,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        try:
            with started._within(START_S):
                started.wrong = started._line()["wrong"]
        except ShadowError:
            started.end()
            raise
        return started

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, raw: bytes, content_type: bytes) -> list[Prediction]:
        """The answers to a request's body, in its order.

        :raises ShadowError: if there are none
        """
        assert self._process.stdin is not None
        with self._within(ANSWER_S):  # a process that hangs reads nothing either
            try:
                self._process.stdin.write(_LENGTHS.pack(len(content_type), len(raw)) + content_type + raw)
                self._process.stdin.flush()
            except (OSError, ValueError) as error:
                self.end()
                raise ShadowError("its process has ended") from error
            answer = self._line()
        if "failed" in answer:
            raise ShadowError(answer["failed"])
        return [Prediction(**each) for each in answer["answers"]]

    def end(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):  # what was being written goes nowhere
                stream.close()  # type: ignore[union-attr]

    @contextlib.contextmanager
    def _within(self, limit_s: float) -> Iterator[None]:
        """Kill the process if what is done meanwhile takes longer; its pipes then close, and whoever waits wakes up."""
        watch = threading.Timer(limit_s, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = b""
        with contextlib.suppress(ValueError):  # closed by `end` in another thread
            line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            self.end()
            raise ShadowError("its process has ended, or gave no answer in time")
        value: dict[str, Any] = json.loads(line)
        return value


def _answered(model: Model, is_text: bool, max_items: int, raw: bytes, content_type: bytes) -> list[Prediction]:
    headers = {b"content-type": content_type}
    if reading.is_form(is_text, headers):
        from serve.images import read_form

        files, all_scores = asyncio.run(read_form(raw, headers, max_items))
        asked = reading.read_files(files, all_scores, max_items)
    else:
        asked = reading.read(is_text, raw, headers, max_items)
    return model.answer_alone(reading.encoded(model.task, asked))


def _serve(model: Model, is_text: bool, max_items: int, requests: IO[bytes], replies: IO[bytes]) -> None:
    def reply(value: Any) -> None:
        replies.write(json.dumps(value).encode() + b"\n")
        replies.flush()

    reply({"wrong": model.self_check()})
    while len(head := requests.read(_LENGTHS.size)) == _LENGTHS.size:
        kind_bytes, body_bytes = _LENGTHS.unpack(head)
        content_type, raw = requests.read(kind_bytes), requests.read(body_bytes)
        try:
            answers = _answered(model, is_text, max_items, raw, content_type)
        except Refusal as refusal:
            reply({"failed": f"it refused what the first model took, with {refusal.status}"})
        except Exception as error:  # whatever it is: it is counted, and the process lives on
            reply({"failed": f"{type(error).__name__} in its process"})
        else:
            reply({"answers": [{"label": a.label, "score": a.score, "scores": a.scores} for a in answers]})


def main() -> None:
    """Open the artifact in argv, and answer frames of stdin on stdout until stdin closes."""
    from ftc.artifact import open_artifact
    from serve.bundle import Bundle, Settings

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's to handle
    os.nice(LOWEST_PRIORITY)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints to stdout
    artifact = open_artifact(Path(sys.argv[1]))
    settings = Settings(**json.loads(sys.argv[2]))
    with quiet_libraries():
        model = Model.open(Bundle(artifact, replace(settings, threads=settings.threads or SHADOW_THREADS)))
        is_text = TASKS.load(artifact.manifest.task).modality == "text"
        _serve(model, is_text, settings.max_items, sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
