"""`ftc.json`: what an artifact is, where it came from and how it is run, as frozen values."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from annotated_types import Interval, IsFinite, Len, Predicate

from ftc.errors import InputError
from ftc.preprocessing import ImagePreprocessing, TextPreprocessing

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

FILE_NAME = "ftc.json"

# Format history. A reader accepts the versions it knows and refuses newer ones.
#   1  first version
SCHEMA: Final = 1

ROOT_FORMATS = ("huggingface", "keras")
"""What checkpoints are; a service carries one sealed, with a lineage of itself alone."""

FOREIGN_FORMATS = frozenset({"onnx", "tflite", "openvino"})
"""Formats of roots that are model files which another program made."""

IN_FILE = "file."
"""Begins keys of the run settings that give an input or output its name in a file of another program."""

TOKENIZER = "tokenizer"
"""Key of the run settings of a root that holds no tokenizer: the file that does."""

Option = str | int | float | bool | None | tuple[str, ...] | tuple[int, ...]


class _ByKind:
    """Tells pydantic, once it is imported, to choose by the field `kind`, so that messages are about the right one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic import Field

        return handler(Annotated[source, Field(discriminator="kind")])


Preprocessing = Annotated[TextPreprocessing | ImagePreprocessing, _ByKind()]


def _has_no_controls(text: str) -> bool:
    return not any(unicodedata.category(letter) == "Cc" for letter in text)


def _has_no_slash(text: str) -> bool:
    return "/" not in text


# A manifest comes from anywhere. What is counted fits 64 bits, what names a thing can be printed and is no essay.
Count = Annotated[int, Interval(ge=0, lt=2**63)]
Size = Annotated[int, Interval(ge=1, lt=2**31)]
Word = Annotated[str, Len(1, 4096), Predicate(_has_no_controls)]
Name = Annotated[str, Len(1, 255), Predicate(_has_no_controls), Predicate(_has_no_slash)]
Share = Annotated[float, Interval(ge=0, le=1)]
Difference = Annotated[IsFinite[float], Interval(ge=0)]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of an artifact; `path` is relative to the artifact's directory."""

    path: Word
    size_bytes: Count
    sha256: Word


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model input or output; a dimension is a size or the name of a dynamic axis.

    :param scale: of quantized values: ``value = scale * (stored - zero_point)``; None where they are stored as such
    """

    name: Word
    dtype: Word
    shape: tuple[Size | Word, ...]
    scale: Annotated[IsFinite[float], Interval(gt=0)] | None = None
    zero_point: Annotated[int, Interval(ge=-(2**31), lt=2**31)] | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step that was applied, with every option it ran with."""

    name: Word
    options: Mapping[str, Option]


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One link of the lineage; the root has no step."""

    id: Word
    name: Name
    format: Word
    step: StepRecord | None


@dataclass(frozen=True, slots=True)
class DataRecord:
    """The data a step saw."""

    source: str
    fingerprint: str
    rows: Count


@dataclass(frozen=True, slots=True)
class RunInstructions:
    """How the model file is run.

    :param runtime: the registered runtime that opens it
    :param entry: the model file (or, for a checkpoint, the directory ``"."``)
    :param session_config: settings that the runtime needs for this file to be fast or right
    :param requirements: what the processor must offer, in words; empty when any will do
    """

    runtime: Word
    entry: Word
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

    parameters: Count
    multiply_accumulates: Count | None
    reference_input: str
    size_bytes: Count
    convolution_share: Share | None = None


@dataclass(frozen=True, slots=True)
class ParityRecord:
    """What comparing with the parent on the golden examples showed.

    :param lossy: True where the step may change outputs (quantization); False where it must not (export)
    :param max_abs_difference: largest absolute difference of a logit
    :param label_agreement: fraction (0-1) of rows with the same arg-max
    :param rows: rows compared, over all batch shapes
    """

    lossy: bool
    max_abs_difference: Difference
    mean_abs_difference: Difference
    label_agreement: Share
    rows: Count
    batch_sizes: tuple[Count, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """What was taken out of one part of a network.

    :param part: its name in the network
    :param kind: what there were `before` of, and are `after`: heads, neurons
    """

    part: Word
    kind: Word
    before: Count
    after: Count


@dataclass(frozen=True, slots=True)
class SpeedRecord:
    """How fast a network was meant to become, and became, on the machine that pruned it.

    :param target: how many times as fast as the network before, with `runtime`, in float, one row at a time
    :param predicted: of its shape, by what heads and neurons were found to cost
    :param measured: of its shape, side by side with the network before
    :param length: tokens of the text, or pixels along a side of the image, that was timed
    """

    runtime: Word
    target: Annotated[IsFinite[float], Interval(gt=0)]
    predicted: Annotated[IsFinite[float], Interval(gt=0)]
    measured: Annotated[IsFinite[float], Interval(gt=0)]
    length: Count


@dataclass(frozen=True, slots=True)
class PruningRecord:
    """What pruning took out of a network, and what it did to its answers.

    :param shapes: (out, in) of every linear layer that has another size than config.json gives it
    :param metric: the task's main metric, that the scores (0-1) are of; None where the data had no labels to spare
    :param rows: rows that the scores were taken on; none of them decided what was cut
    :param speed: if it was cut for speed
    """

    shapes: Mapping[Word, tuple[Size, ...]]
    removed: tuple[Cut, ...]
    parameters_before: Count
    parameters_after: Count
    multiply_accumulates_before: Count | None
    multiply_accumulates_after: Count | None
    metric: Word | None = None
    score_before: Share | None = None
    score_after: Share | None = None
    rows: Count = 0
    speed: SpeedRecord | None = None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a training had reached when it was judged.

    :param step: optimizer steps so far; 0 before the first
    :param epoch: passes over the rows so far
    :param loss: mean since the point before; None at the first
    :param score: the task's main metric (0-1) on rows held out; None if none were
    """

    step: Count
    epoch: Annotated[IsFinite[float], Interval(ge=0)]
    loss: IsFinite[float] | None
    score: Share | None


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """How a network was trained.

    :param objective: what was made smaller, in words
    :param teacher_id: the artifact that it learned from; None if from labels alone
    :param metric: the task's main metric, that the scores (0-1) are of
    :param score_after: of the weights that were kept, the best of the curve
    :param rows: rows trained on
    :param held_out: rows that the scores were taken on; none of them was trained on
    :param kept_step: the step whose weights were kept
    :param ended: what ended it, in words
    :param test_score: of the weights that were kept, on rows that neither trained nor judged
    """

    objective: Word
    teacher_id: Word | None
    metric: Word | None
    score_before: Share | None
    score_after: Share | None
    rows: Count
    held_out: Count
    kept_step: Count
    seconds: Annotated[IsFinite[float], Interval(ge=0)]
    ended: Word
    curve: tuple[CurvePoint, ...]
    test_score: Share | None = None
    test_rows: Count = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything `ftc` knows of an artifact besides its bytes."""

    id: Word
    name: Name
    format: Word
    task: Word
    labels: Annotated[tuple[str, ...], Len(2)]
    preprocessing: Preprocessing
    lineage: Annotated[tuple[Ancestor, ...], Len(1)]
    root_path: Word
    inputs: Annotated[tuple[TensorSpec, ...], Len(1)]
    outputs: Annotated[tuple[TensorSpec, ...], Len(1)]
    run: RunInstructions
    facts: Facts
    data: DataRecord | None = None
    parity: ParityRecord | None = None
    pruning: PruningRecord | None = None
    training: TrainingRecord | None = None
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

    @property
    def is_foreign(self) -> bool:
        """True for a model file that another program made, and for what was made of one."""
        return self.lineage[0].format in FOREIGN_FORMATS


@cache
def _adapter() -> TypeAdapter[Manifest]:
    # pydantic costs a tenth of a second to import: only commands that read a manifest pay for it
    from pydantic import AfterValidator, TypeAdapter

    return TypeAdapter(Annotated[Manifest, AfterValidator(_coherent)])


def _coherent(manifest: Manifest) -> Manifest:
    """:raises ValueError: if the parts of a manifest contradict one another; pydantic turns it into its own error"""
    root, *made = manifest.lineage
    if root.step is not None or any(link.step is None for link in made):
        raise ValueError("every link of the lineage but the first has a step, and the first has none")
    last = manifest.lineage[-1]
    if (last.id, last.name, last.format) != (manifest.id, manifest.name, manifest.format):
        raise ValueError("the last link of the lineage is not this artifact")
    if len(set(manifest.labels)) < len(manifest.labels):
        raise ValueError("two labels have the same name")
    width = manifest.outputs[0].shape[-1:]
    if width and isinstance(width[0], int) and width[0] != len(manifest.labels):
        raise ValueError(f"the model answers {width[0]} numbers for {len(manifest.labels)} labels")
    spec = manifest.preprocessing
    made_inputs = set(spec.inputs) if isinstance(spec, TextPreprocessing) else {spec.input}
    if isinstance(spec, TextPreprocessing):
        _check_texts(spec)
    else:
        _check_images(spec, manifest.inputs)
    unknown = sorted({tensor.name for tensor in manifest.inputs} - made_inputs)
    if unknown:
        raise ValueError(f"the preprocessing does not make the model's input {unknown[0]!r}")
    return manifest


def _check_texts(spec: TextPreprocessing) -> None:
    known = {"input_ids", "token_type_ids", "attention_mask"}
    if not {"input_ids"} <= set(spec.inputs) <= known:
        raise ValueError(f"a text becomes input_ids, and may become {' and '.join(sorted(known - {'input_ids'}))}")


def _check_images(spec: ImagePreprocessing, inputs: tuple[TensorSpec, ...]) -> None:
    size = spec.resize
    if size is not None and size.shortest_edge is None and (size.height is None or size.width is None):
        raise ValueError("resizing needs shortest_edge, or height and width")
    exact = (size.height, size.width) if size is not None and size.shortest_edge is None else None
    if (spec.crop or exact) != (spec.height, spec.width):
        raise ValueError(f"resizing and cropping do not give images of {spec.height} x {spec.width}")
    given = (3, spec.height, spec.width) if spec.layout == "NCHW" else (spec.height, spec.width, 3)
    taken = inputs[0].shape[1:]
    if len(taken) != 3 or any(isinstance(size, int) and size != side for size, side in zip(taken, given, strict=True)):
        raise ValueError(f"the preprocessing gives images of shape {given}, the model takes {taken}")


def to_json(manifest: Manifest) -> str:
    """The manifest as indented JSON."""
    return _adapter().dump_json(manifest, indent=2).decode() + "\n"


def read(path: Path) -> Manifest:
    """Read and validate the manifest file of a sealed artifact.

    :raises InputError: if it is not JSON, not a manifest, makes no sense, or is of a version this `ftc` does not know
    """
    from pydantic import ValidationError

    try:
        manifest = _adapter().validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(
            f"{path}: not a manifest this version of ftc can read: {_first_fault(error)}. "
            "Make the artifact again, or open it with the ftc that wrote it."
        ) from error
    if manifest.is_root and manifest.format not in ROOT_FORMATS:
        raise InputError(f"{path}: not a manifest of an artifact: its lineage names no step. Make the artifact again.")
    return manifest


def check(manifest: Manifest, source: Path) -> None:
    """Hold the manifest of a new artifact or checkpoint to what `read` asks of one.

    :param source: what it was made of, for the message
    :raises InputError: if it could not be read again
    """
    from pydantic import ValidationError
    from pydantic_core import PydanticSerializationError

    try:
        _adapter().validate_json(to_json(manifest))
    except PydanticSerializationError as error:  # half of a surrogate pair is no character
        raise InputError(f"{source}: a name or a label is not valid Unicode: {error}.") from error
    except ValidationError as error:
        raise InputError(f"{source} says something that makes no sense: {_first_fault(error)}.") from error


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = "".join(f"{part}: " for part in first["loc"])
    return where + first["msg"].removeprefix("Value error, ")[:400]
