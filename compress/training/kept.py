"""What a training keeps on disk while it runs: states to go on from after a kill, and the best weights so far."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compress.training.processes import is_first
from ftc.errors import InputError, RunError
from ftc.manifest import CurvePoint

if TYPE_CHECKING:
    from torch import nn

_DONE = "course.json"
"""Written last into a state: one without it was being written when its process ended."""

_BEST = "best.safetensors"


@dataclass(frozen=True, slots=True)
class Course:
    """A training up to now.

    :param points: what was seen at each evaluation, the first before the first step
    :param spent_s: seconds that it has taken, over all its runs
    :param losses: of the steps since the last point
    """

    points: tuple[CurvePoint, ...]
    spent_s: float
    losses: tuple[float, ...] = ()

    @property
    def best(self) -> CurvePoint | None:
        """The point with the highest score, the first of equals; None without scores."""
        scored = [point for point in self.points if point.score is not None]
        return max(scored, key=lambda point: point.score or 0.0, default=None)


@dataclass(frozen=True, slots=True)
class State:
    """A state to go on from: what transformers' `Trainer` has written, and the course up to it."""

    path: Path
    course: Course

    @property
    def step(self) -> int:
        """The steps that it has behind it."""
        return _step(self.path)


@contextmanager
def claimed(place: Path) -> Iterator[None]:
    """Hold a training's directory while it runs; it stays afterwards, for `forget`.

    :raises InputError: if another process holds it
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not is_first():  # the first process holds it for all
            yield
            return
        descriptor = os.open(place, os.O_RDONLY)
    except OSError as error:
        raise RunError(f"cannot write to {place}: {error.strerror}. Choose another place with -o.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"the same training is running already, in {place}; wait for it, or stop it.") from None
        yield
    finally:
        os.close(descriptor)


def last_state(place: Path) -> State | None:
    """The newest whole state; what was being written when a process ended is removed."""
    found = []
    for path in place.glob("checkpoint-*"):
        if (path / _DONE).is_file():
            found.append(path)
        else:
            shutil.rmtree(path, ignore_errors=True)  # several processes may be about it
    if not found:
        return None
    newest = max(found, key=_step)
    course = json.loads((newest / _DONE).read_text(encoding="utf-8"))
    points = tuple(CurvePoint(**point) for point in course["points"])
    return State(newest, Course(points, course["spent_s"], tuple(course["losses"])))


def state_path(place: Path, step: int) -> Path:
    """Where `Trainer` writes the state of a step."""
    return place / f"checkpoint-{step}"


def complete(place: Path, step: int, course: Course) -> None:
    """Say that the state of a step is whole, and remove older ones."""
    path = state_path(place, step)
    _replace(path / _DONE, json.dumps(asdict(course)).encode())
    for other in place.glob("checkpoint-*"):
        if other != path:
            shutil.rmtree(other)


def keep_best(place: Path, model: nn.Module) -> None:
    """Keep a network's weights as the best so far."""
    from safetensors.torch import save_model

    draft = place / f"{_BEST}.part"
    save_model(model, str(draft))
    draft.replace(place / _BEST)


def restore_best(place: Path, model: nn.Module) -> None:
    """Give a network the best weights, which must have been kept."""
    from safetensors.torch import load_model

    load_model(model, str(place / _BEST))


def forget(place: Path) -> None:
    """Remove a training's directory: what it was for is sealed."""
    shutil.rmtree(place, ignore_errors=True)


def _step(path: Path) -> int:
    return int(path.name.removeprefix("checkpoint-"))


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.part")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
