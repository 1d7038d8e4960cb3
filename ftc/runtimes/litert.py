"""LiteRT (TensorFlow Lite) on the CPU, with XNNPACK."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ftc.errors import InputError
from ftc.runtimes.buckets import LENGTHS, Buckets

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.runtimes.session import SessionOptions

SIGNATURE = "serving_default"
"""The signature of files that have one for all inputs."""


def signature_of(length: int) -> str:
    """The signature that takes texts of `length` tokens."""
    return f"length_{length}"


class LiteRt:
    """An interpreter over a `.tflite` file whose signatures take one row each.

    Rows of a batch run one after the other, a text in the smallest length bucket that holds it. Signatures share
    their weights, and an interpreter runs one call at a time: calls from several threads wait for each other.
    """

    formats: ClassVar[frozenset[str]] = frozenset({"tflite"})
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    settings: ClassVar[frozenset[str]] = frozenset({LENGTHS})

    def __init__(self, interpreter: Interpreter, buckets: Buckets | None, threads: int) -> None:
        self._interpreter = interpreter
        self._buckets = buckets
        self._threads = threads
        self._signatures: dict[str, _Signature] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        path, threads = artifact.model_path, options.thread_count()
        try:
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            there_are = interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: LiteRT cannot open it: {error}") from error
        buckets = Buckets.of(artifact.manifest)
        wanted = [signature_of(length) for length in buckets.lengths] if buckets is not None else [SIGNATURE]
        missing = [name for name in wanted if name not in there_are]
        if missing:
            raise InputError(
                f"{path}: it has no signature {missing[0]!r}, only {', '.join(map(repr, there_are)) or 'none'}."
            )
        return cls(interpreter, buckets, threads)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        answers: list[dict[str, np.ndarray]] = []
        with self._lock:
            for row in self._rows(inputs):
                name = SIGNATURE if self._buckets is None else signature_of(next(iter(row.values())).shape[1])
                if name not in self._signatures:
                    self._signatures[name] = _Signature(self._interpreter, name)
                answers.append(self._signatures[name](row))
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    def _rows(self, inputs: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        if self._buckets is not None:
            yield from self._buckets.rows(inputs)
            return
        for row in range(len(next(iter(inputs.values())))):
            yield {name: values[row : row + 1] for name, values in inputs.items()}

    def conditions(self) -> dict[str, str]:
        return {
            "runtime": "litert",
            "version": metadata.version("ai-edge-litert"),
            "delegate": "xnnpack",
            "threads": str(self._threads),
            **({} if self._buckets is None else {LENGTHS: ",".join(map(str, self._buckets.lengths))}),
        }


class _Signature:
    """One signature, called with the task's tensors whatever the file stores them as."""

    def __init__(self, interpreter: Interpreter, name: str) -> None:
        self._runner = interpreter.get_signature_runner(name)
        self._inputs = self._runner.get_input_details()
        self._outputs = self._runner.get_output_details()

    def __call__(self, row: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        feed = {name: _stored(row[name], details) for name, details in self._inputs.items()}
        return {name: _value(array, self._outputs[name]) for name, array in self._runner(**feed).items()}


def _stored(values: np.ndarray, details: Mapping[str, Any]) -> np.ndarray:
    scale, zero_point = details["quantization"]
    kind = details["dtype"]
    if not scale or not np.issubdtype(kind, np.integer):
        return values.astype(kind)
    limits = np.iinfo(kind)
    rounded: np.ndarray = np.rint(values / scale) + zero_point
    return rounded.clip(limits.min, limits.max).astype(kind)


def _value(stored: np.ndarray, details: Mapping[str, Any]) -> np.ndarray:
    scale, zero_point = details["quantization"]
    if not scale or not np.issubdtype(stored.dtype, np.integer):
        return stored.astype(np.float32)
    shifted: np.ndarray = stored.astype(np.float32) - np.float32(zero_point)
    return shifted * np.float32(scale)
