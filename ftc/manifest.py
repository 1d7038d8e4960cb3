"""`ftc.json`: what an artifact is, where it came from and how it is run, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from ftc.errors import InputError
from ftc.preprocessing import ImagePreprocessing, TextPreprocessing

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FILE_NAME = "ftc.json"

# Format history. A reader accepts the versions it knows and refuses newer ones.
#   1  first version
SCHEMA: Final = 1

Option = str | int | float | bool | None | tuple[str, ...]
Preprocessing = TextPreprocessing | ImagePreprocessing


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of an artifact; `path` is relative to the artifact's directory."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model input or output; a dimension is a size or the name of a dynamic axis.

    :param scale: of quantized values: ``value = scale * (stored - zero_point)``; None where they are stored as such
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step that was applied, with every option it ran with."""

    name: str
    options: Mapping[str, Option]


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One link of the lineage; the root has no step."""

    id: str
    name: str
    format: str
    step: StepRecord | None


@dataclass(frozen=True, slots=True)
class DataRecord:
    """The data a step saw."""

    source: str
    fingerprint: str
    rows: int


@dataclass(frozen=True, slots=True)
class RunInstructions:
    """How the model file is run.

    :param runtime: the registered runtime that opens it
    :param entry: the model file (or, for a checkpoint, the directory ``"."``)
    :param session_config: settings that the runtime needs for this file to be fast or right
    :param requirements: what the processor must offer, in words; empty when any will do
    """

    runtime: str
    entry: str
    session_config: Mapping[str, str]
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Sizes that do not depend on the device.

    :param parameters: number of trained values of the root's network in its present shape
    :param multiply_accumulates: of one forward pass at `reference_input`; None if it cannot be counted
    :param convolution_share: the part (0-1) of them that convolutions do
    :param size_bytes: the model file with its external weights, without tokenizer and examples
    """

    parameters: int
    multiply_accumulates: int | None
    reference_input: str
    size_bytes: int
    convolution_share: float | None = None


@dataclass(frozen=True, slots=True)
class ParityRecord:
    """What comparing with the parent on the golden examples showed.

    :param lossy: True where the step may change outputs (quantization); False where it must not (export)
    :param max_abs_difference: largest absolute difference of a logit
    :param label_agreement: fraction (0-1) of rows with the same arg-max
    :param rows: rows compared, over all batch shapes
    """

    lossy: bool
    max_abs_difference: float
    mean_abs_difference: float
    label_agreement: float
    rows: int
    batch_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything `ftc` knows of an artifact besides its bytes."""

    id: str
    name: str
    format: str
    task: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    lineage: tuple[Ancestor, ...]
    root_path: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    run: RunInstructions
    facts: Facts
    data: DataRecord | None = None
    parity: ParityRecord | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] | None = None
    created: str = ""
    files: tuple[FileEntry, ...] = ()
    schema: Literal[1] = SCHEMA

    @property
    def root_id(self) -> str:
        """The id of the checkpoint everything came from."""
        return self.lineage[0].id

    @property
    def parent_id(self) -> str | None:
        """The id of the artifact this one was made from; None for a root."""
        return self.lineage[-2].id if len(self.lineage) > 1 else None

    @property
    def output(self) -> str:
        """The name of what the model answers: ``"logits"``, or ``"probabilities"`` if it ends in a softmax."""
        return self.outputs[0].name

    @property
    def is_root(self) -> bool:
        """True for a checkpoint opened in place."""
        return len(self.lineage) == 1


@cache
def _adapter() -> TypeAdapter[Manifest]:
    # pydantic costs a tenth of a second to import: only commands that read a manifest pay for it
    from pydantic import TypeAdapter

    return TypeAdapter(Manifest)


def to_json(manifest: Manifest) -> str:
    """The manifest as indented JSON."""
    return _adapter().dump_json(manifest, indent=2).decode() + "\n"


def read(path: Path) -> Manifest:
    """Read and validate a manifest file.

    :raises InputError: if it is not JSON, not a manifest, or of a version this `ftc` does not know
    """
    from pydantic import ValidationError

    try:
        return _adapter().validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = " -> ".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{path}: not a manifest this version of ftc can read: {where}: {first['msg']}. "
            "Make the artifact again, or open it with the ftc that wrote it."
        ) from error
