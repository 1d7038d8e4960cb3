"""Model files of other programs behind the names, types and batches that tasks speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ftc.artifact import Artifact
from ftc.errors import InputError, MissingExtra, RunError
from ftc.manifest import IN_FILE, TOKENIZER, Manifest, TensorSpec
from ftc.runtimes.buckets import LENGTHS, Buckets
from ftc.runtimes.stored import stored, value

if TYPE_CHECKING:
    from ftc.runtimes.session import Session, SessionOptions


class Adapted:
    """A session that converts on the way in and out: names, stored types, fixed batches and lengths.

    `run` takes int64 ids and float32 pixels as tasks make them, and returns float32. The manifest says what the file
    wants: its `inputs` and `outputs` have the file's types and shapes, its run settings the file's names.
    """

    formats: ClassVar[frozenset[str]] = frozenset({"onnx", "tflite", "openvino"})
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    settings: ClassVar[frozenset[str]] = frozenset()
    concurrent: ClassVar[bool] = False

    def __init__(self, session: Session, artifact: Artifact) -> None:
        manifest = artifact.manifest
        self._session, self._artifact = session, artifact
        self._inputs = tuple((spec, _name(manifest, spec.name)) for spec in manifest.inputs)
        self._output, self._answer = manifest.outputs[0], _name(manifest, manifest.output)
        self._buckets = Buckets.of(manifest)
        batch = manifest.inputs[0].shape[0]
        self._batch = batch if isinstance(batch, int) else None

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        inner = Artifact(artifact.path, _as_in_file(artifact.manifest))
        return cls(_runtime(artifact).open(inner, options), artifact)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = len(next(iter(inputs.values())))
        if self._buckets is not None and (rows == 1 or len(self._buckets.lengths) == 1):
            inputs = self._buckets.fitted(inputs)
        feed = {name: stored(inputs[spec.name], spec) for spec, name in self._inputs}
        size = self._batch or rows
        parts = [self._answers(feed, start, size) for start in range(0, rows, size)]
        return {self._output.name: parts[0] if len(parts) == 1 else np.concatenate(parts)}

    def conditions(self) -> dict[str, str]:
        lengths = {} if self._buckets is None else {LENGTHS: ",".join(map(str, self._buckets.lengths))}
        return {**self._session.conditions(), **lengths}

    def _answers(self, feed: Mapping[str, np.ndarray], start: int, size: int) -> np.ndarray:
        """(rows, classes) float32 for `size` rows from `start` on, or for those that are left."""
        part = {name: values[start : start + size] for name, values in feed.items()}
        rows = len(next(iter(part.values())))
        if rows < size:  # a fixed batch is filled up with its last row
            part = {name: np.concatenate([values, values[-1:].repeat(size - rows, 0)]) for name, values in part.items()}
        try:
            answer = self._session.run(part)[self._answer]
        except (RuntimeError, ValueError) as error:
            shapes = ", ".join(f"{name} {values.dtype} {values.shape}" for name, values in part.items())
            raise RunError(f"{self._artifact.path}: it cannot be run on {shapes}: {str(error)[:300]}") from error
        if answer.shape[:1] != (size,) or answer.ndim != 2:
            raise InputError(
                f"{self._artifact.path}: its output {self._answer!r} has shape {answer.shape} for {size} rows; "
                "expected is (batch, classes)."
            )
        return value(answer[:rows], self._output)


def _runtime(artifact: Artifact) -> type[Session]:
    if artifact.manifest.format != "tflite":
        from ftc.runtimes import RUNTIMES

        runtime: type[Session] = RUNTIMES.load(artifact.manifest.run.runtime)
        return runtime
    try:
        from ftc.runtimes.litert_file import LiteRtFile
    except ModuleNotFoundError as error:
        raise MissingExtra("runtime 'litert'", error.name or "", "tflite") from error
    return LiteRtFile


def _name(manifest: Manifest, name: str) -> str:
    return manifest.run.session_config.get(IN_FILE + name, name)


def _as_in_file(manifest: Manifest) -> Manifest:
    """The manifest in the file's own words, for the runtime that opens it."""
    settings = {
        key: value
        for key, value in manifest.run.session_config.items()
        if not key.startswith(IN_FILE) and key not in (LENGTHS, TOKENIZER)
    }
    return replace(
        manifest,
        inputs=tuple(replace(spec, name=_name(manifest, spec.name)) for spec in map(_opened, manifest.inputs)),
        outputs=tuple(replace(spec, name=_name(manifest, spec.name)) for spec in manifest.outputs),
        run=replace(manifest.run, session_config=settings),
    )


def _opened(spec: TensorSpec) -> TensorSpec:
    """A fixed batch of several rows leaves nothing that a runtime could specialise for single rows."""
    if spec.shape[0] in (1, "batch"):
        return spec
    return replace(spec, shape=tuple(f"size_{place}" for place in range(len(spec.shape))))
