"""What every step is: a frozen value whose fields are its options, turning one artifact's model into another's."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from ftc.artifact import Artifact, content_id
from ftc.manifest import Facts, Option, Preprocessing, PruningRecord, RunInstructions, TensorSpec, TrainingRecord

if TYPE_CHECKING:
    from ftc.data import Dataset


@dataclass(frozen=True, slots=True)
class Made:
    """What a step wrote into the draft directory, for the manifest.

    :param preprocessing: how examples become its inputs; None if as for the parent
    :param pruning: what was taken out of the network, if this step did
    :param training: how the network was trained, if this step did
    :param left: a directory that the step would go on from after a kill; it is removed once the result is sealed
    """

    run: RunInstructions
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    facts: Facts
    notes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    pruning: PruningRecord | None = None
    training: TrainingRecord | None = None
    left: Path | None = None


class Step(Protocol):
    """One method. Implementations are the frozen dataclasses named in `STEPS`; their fields are their options.

    `revision` is raised when the same options would give another result than before, so that old results are
    not taken for new ones. `lossy` says whether outputs may differ from the parent's beyond rounding.
    What a step takes and makes stands beside its name in `STEPS`.
    """

    name: ClassVar[str]
    needs_data: ClassVar[bool]
    lossy: ClassVar[bool]
    revision: ClassVar[int]

    @property
    def suffix(self) -> str:
        """What is appended to the source's name to name the result, telling apart the options that matter."""
        ...

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        """Write the model into `draft`. The parent is only read."""
        ...


class Suited(Protocol):
    """A step class whose options depend on the model: it is asked for them instead of being called."""

    @classmethod
    def for_model(cls, source: Artifact, data: Dataset | None, **given: Any) -> Step:
        """The step for a model, and for the data if there is any, with the options that the user gave."""
        ...


def options_of(step: Step) -> dict[str, Option]:
    """A step's options as JSON values; an artifact among them, such as a teacher, as its id."""
    values = {f.name: getattr(step, f.name) for f in fields(cast("type", step))}
    return {name: _recorded(value) for name, value in values.items()}


def result_id(step: Step, source: Artifact, data: Dataset | None) -> str:
    """The id of what a step makes of a source and data."""
    method = f"{step.name}@{step.revision}"
    return content_id(source.manifest.id, method, options_of(step), data.fingerprint if data is not None else None)


def _recorded(value: Any) -> Option:
    if isinstance(value, Artifact):
        return value.manifest.id
    return str(value) if isinstance(value, str) else value
