"""Export a Hugging Face checkpoint to TFLite: float32, one row at a time, one signature per length of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import litert_torch
import torch

from compress import lengths as buckets
from compress.litert_rewrites import with_lean_layer_norms
from compress.step import Made
from compress.unsupported import CONVERTERS_REFUSALS, refusal
from ftc.console import progress
from ftc.errors import InputError
from ftc.huggingface.model import load_model, with_operations_counted
from ftc.machine import processor
from ftc.manifest import Facts, RunInstructions, TensorSpec
from ftc.preprocessing import ImagePreprocessing, TextPreprocessing
from ftc.runtimes.buckets import LENGTHS, powers_of_two
from ftc.runtimes.litert import SIGNATURE, signature_of
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset

MODEL_FILE = "model.tflite"


@dataclass(frozen=True, slots=True)
class ExportTflite:
    """TFLite through `litert_torch`, which knows fixed shapes only.

    :param lengths: tokens of the signatures of a text model, which share their weights; none for powers of two up
        to the longest text that the model takes. The last is where longer texts are truncated.
    """

    lengths: tuple[int, ...] = ()

    name: ClassVar[str] = "export-tflite"
    needs_data: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    revision: ClassVar[int] = 1

    @classmethod
    def for_model(cls, source: Artifact, data: Dataset | None, **given: Any) -> Self:
        """The step with the lengths given, or those that pad the data's own texts least."""
        spec = source.manifest.preprocessing
        if not isinstance(spec, TextPreprocessing):
            if given.get("lengths"):
                raise InputError(f"--lengths is for text models; {source.path} takes images.")
            return cls()
        if given.get("lengths"):
            return cls(buckets.checked(given["lengths"], spec.max_length))
        if data is None:
            return cls()
        task = open_task(source)
        lengths = [task.length(example) for example in data.examples]
        return cls(buckets.fitted(lengths, spec.max_length, buckets.rows_at_once(processor().instructions)))

    @property
    def suffix(self) -> str:
        return "-".join(["tflite", *map(str, self.lengths)])

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        spec = source.manifest.preprocessing
        if isinstance(spec, TextPreprocessing):
            return self._text(source, spec, draft)
        return _image(source, spec, draft)

    def _text(self, source: Artifact, spec: TextPreprocessing, draft: Path) -> Made:
        lengths = self.lengths or powers_of_two(spec.max_length)
        samples = {
            signature_of(length): {name: torch.ones(1, length, dtype=torch.int32) for name in spec.inputs}
            for length in lengths
        }
        with progress(f"exporting to TFLite, {len(lengths)} lengths"):
            _convert(_Named(with_lean_layer_norms(load_model(source))), samples, draft / MODEL_FILE)
        return Made(
            run=RunInstructions("litert", MODEL_FILE, {LENGTHS: ",".join(map(str, lengths))}),
            inputs=tuple(TensorSpec(name, "int32", (1, "length")) for name in spec.inputs),
            outputs=_outputs(source),
            facts=_facts(source, draft),
            preprocessing=replace(spec, max_length=lengths[-1]),
        )


def _image(source: Artifact, spec: ImagePreprocessing, draft: Path) -> Made:
    shape = (1, spec.height, spec.width, 3)
    samples = {SIGNATURE: {spec.input: torch.zeros(shape)}}
    with progress("exporting to TFLite"):
        _convert(_ChannelsLast(with_lean_layer_norms(load_model(source))), samples, draft / MODEL_FILE)
    return Made(
        run=RunInstructions("litert", MODEL_FILE, {}),
        inputs=(TensorSpec(spec.input, "float32", shape),),
        outputs=_outputs(source),
        facts=_facts(source, draft),
        preprocessing=replace(spec, layout="NHWC"),
    )


def _convert(model: torch.nn.Module, samples: Mapping[str, Mapping[str, torch.Tensor]], file: Path) -> None:
    converter = None
    try:
        for name, sample in samples.items():
            converter = (converter or litert_torch).signature(name, model, sample_kwargs=dict(sample))
        assert converter is not None, "there is at least one signature"
        edge = converter.convert()
    except CONVERTERS_REFUSALS as error:
        raise refusal(model, next(iter(samples.values())), error, "TFLite") from error
    edge.export(str(file))


def _outputs(source: Artifact) -> tuple[TensorSpec, ...]:
    return (TensorSpec("logits", "float32", (1, len(source.manifest.labels))),)


def _facts(source: Artifact, draft: Path) -> Facts:
    return replace(with_operations_counted(source), size_bytes=(draft / MODEL_FILE).stat().st_size)


class _Named(torch.nn.Module):
    """Gives inputs and outputs the names they get in the file."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.model(**inputs).logits}


class _ChannelsLast(_Named):
    """Images as (1, height, width, 3), which is what cameras and mobile frameworks hold."""

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return super().forward(**{name: image.permute(0, 3, 1, 2) for name, image in inputs.items()})
