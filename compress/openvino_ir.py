"""OpenVINO's intermediate representation: reading a parent's, writing a result's, and how it is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import openvino as ov

from compress import lengths as buckets
from compress import processors
from compress.choices import Hint, Precision
from ftc.errors import InputError
from ftc.manifest import RunInstructions, TensorSpec
from ftc.preprocessing import TextPreprocessing
from ftc.runtimes.buckets import LENGTHS
from ftc.runtimes.openvino_runtime import HINT, read_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftc.artifact import Artifact

MODEL_FILE = "openvino_model.xml"
WEIGHTS_FILE = "openvino_model.bin"


def read(source: Artifact) -> ov.Model:
    """The parent's graph; its weights stay in the file, which is mapped into memory."""
    return read_model(ov.Core(), source.model_path)


def write(model: ov.Model, draft: Path, *, half: bool = False) -> int:
    """Write graph and weights into the draft.

    :param half: store float32 weights as float16; computing stays as it is
    :return: bytes of both files
    """
    # by default float32 weights would be halved without a word
    ov.save_model(model, draft / MODEL_FILE, compress_to_fp16=half)
    return sum((draft / name).stat().st_size for name in (MODEL_FILE, WEIGHTS_FILE))


def fix_shapes(model: ov.Model, inputs: Sequence[TensorSpec]) -> None:
    """Give every input the shape that the manifest says: only its named axes stay dynamic."""
    shapes = {
        spec.name: ov.PartialShape([size if isinstance(size, int) else -1 for size in spec.shape]) for spec in inputs
    }
    model.reshape(shapes)


def forget_how(model: ov.Model) -> None:
    """Drop the libraries' records of how a graph was made: the manifest says it, and paths belong to no one else."""
    for record in ("conversion_parameters", "nncf", "optimization"):
        if model.has_rt_info(record):
            model.set_rt_info({}, record)


def instructions(
    source: Artifact, precision: Precision, lengths: tuple[int, ...], hint: Hint = Hint.LATENCY
) -> RunInstructions:
    """How a float graph is run: its precision is said, since AMX processors would take bfloat16 unasked.

    :param lengths: buckets for single texts; none for `ladder`
    """
    settings = {"INFERENCE_PRECISION_HINT": str(precision), HINT: hint.upper()}
    spec = source.manifest.preprocessing
    if isinstance(spec, TextPreprocessing):
        settings[LENGTHS] = ",".join(map(str, lengths or ladder(spec.max_length)))
    requirements = (processors.BF16,) if precision is Precision.BF16 else ()
    return RunInstructions("openvino", MODEL_FILE, settings, requirements)


def ladder(longest: int) -> tuple[int, ...]:
    """16, 24, 32, 48, 64, 96, ... below `longest`, then `longest`.

    Buckets cost nothing until a text needs them, so they are closer than powers of two: texts of SST-2 are padded
    from 25 tokens to 30 on average, not to 36, and the time follows the tokens.
    """
    steps = [size for power in range(4, longest.bit_length() + 1) for size in (1 << power, 3 << (power - 1))]
    return (*(size for size in steps if size < longest), longest)


def checked_lengths(source: Artifact, given: Sequence[int]) -> tuple[int, ...]:
    """The buckets that a user gave, in order.

    :raises InputError: if the model takes images, or texts of such lengths make no sense
    """
    spec = source.manifest.preprocessing
    if not given:
        return ()
    if not isinstance(spec, TextPreprocessing):
        raise InputError(f"--lengths is for text models; {source.path} takes images.")
    return buckets.checked(given, spec.max_length)


def suffix(precision: Precision, lengths: tuple[int, ...], hint: Hint) -> str:
    """What names a float graph of that precision and these buckets."""
    bf16 = ["bf16"] if precision is Precision.BF16 else []
    throughput = ["throughput"] if hint is Hint.THROUGHPUT else []
    return "-".join(["openvino", *bf16, *throughput, *map(str, lengths)])
