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

from ftc.console import is_first
from ftc.errors import InputError, RunError
from ftc.manifest import CurvePoint

if TYPE_CHECKING:
    from torch import nn

_DONE = "course.json"
"""Written last into a state: one without it was being written when its process ended."""


@dataclass(frozen=True, slots=True)
class Course:
    """A training up to now.

    :param points: what was seen at each evaluation, the first before the first step
    :param spent_s: seconds that it has taken, over all its runs
    :param losses: of the steps since the last point
    :param judging_s: seconds that the last evaluation took
    :param processes: how many train together; 0 if nothing says it
    :param step_rows: rows of one step, in all of them; 0 if nothing says it
    """

    points: tuple[CurvePoint, ...]
    spent_s: float
    losses: tuple[float, ...] = ()
    judging_s: float = 0.0
    processes: int = 0
    step_rows: int = 0

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
        raise RunError(f"cannot write to {place}: {error.strerror}. Choose another place.") from error
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
    return State(newest, Course(**{**course, "points": points, "losses": tuple(course["losses"])}))


def has_best(place: Path) -> bool:
    """Whether a run here has judged weights, the first ones before any step."""
    return any(place.glob("best-*.safetensors"))


def check_alike(state: State, processes: int, step_rows: int) -> None:
    """Refuse to go on from a state whose steps had other rows: its step numbers would stand for others.

    :param processes: how many train together now
    :param step_rows: rows of one step, in all of them
    :raises InputError: if that is not as it was
    """
    before = state.course.processes, state.course.step_rows
    if 0 in before or before == (processes, step_rows):
        return
    raise InputError(
        f"{state.path.parent} keeps a training by {before[0]} processes with {before[1]} rows in a step; "
        f"this is one by {processes} with {step_rows}. Go on with as many processes and graphics processors as before, "
        "or remove that directory to begin anew."
    )


def state_path(place: Path, step: int) -> Path:
    """Where `Trainer` writes the state of a step."""
    return place / f"checkpoint-{step}"


def complete(place: Path, step: int, course: Course) -> None:
    """Say that the state of a step is whole, and remove older ones, and weights that are the best of none."""
    path = state_path(place, step)
    _replace(path / _DONE, json.dumps(asdict(course)).encode())
    for other in place.glob("checkpoint-*"):
        if other != path:
            shutil.rmtree(other)
    if course.best is not None:
        _remove_best_but(place, {course.best.step})


def keep_best(place: Path, model: nn.Module, step: int, saved: int | None) -> None:
    """Keep a network's weights, those of a step, as the best so far.

    :param saved: the best step of the newest state: a run that is killed goes on from there, and wants those weights
    """
    from safetensors.torch import save_model

    path = _best_path(place, step)
    draft = path.with_name(f"{path.name}.part")
    save_model(model, str(draft))
    draft.replace(path)
    _remove_best_but(place, {step, saved})


def restore_best(place: Path, model: nn.Module, step: int) -> None:
    """Give a network the best weights, those of a step, which must have been kept."""
    from safetensors.torch import load_model

    load_model(model, str(_best_path(place, step)))


def forget(place: Path) -> None:
    """Remove a training's directory: what it was for is sealed."""
    shutil.rmtree(place, ignore_errors=True)


def _best_path(place: Path, step: int) -> Path:
    return place / f"best-{step}.safetensors"


def _remove_best_but(place: Path, steps: set[int | None]) -> None:
    wanted = {_best_path(place, step) for step in steps if step is not None}
    for path in place.glob("best-*.safetensors"):
        if path not in wanted:
            path.unlink()


def _step(path: Path) -> int:
    return int(path.name.removeprefix("checkpoint-"))


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.part")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
