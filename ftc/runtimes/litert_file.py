"""A `.tflite` file run by LiteRT under its own names, whatever its signature is called, or if it has none."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ftc.errors import InputError

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.runtimes.session import SessionOptions


class LiteRtFile:
    """An interpreter that takes tensors and gives answers by the file's names, in the file's own types.

    :param inputs: LiteRT's details of each input
    :param outputs: LiteRT's details of each output
    """

    formats: ClassVar[frozenset[str]] = frozenset({"tflite"})
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    settings: ClassVar[frozenset[str]] = frozenset()
    concurrent: ClassVar[bool] = False

    def __init__(self, path: Path, threads: int) -> None:
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            signatures = self._interpreter.get_signature_list()
            if len(signatures) > 1:
                raise InputError(
                    f"{path} has several signatures ({', '.join(map(repr, sorted(signatures)))}); of files made "
                    "elsewhere ftc takes those with one."
                )
            self._interpreter.allocate_tensors()
            self._runner = self._interpreter.get_signature_runner(next(iter(signatures))) if signatures else None
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: LiteRT cannot open it: {_told(error)}") from error
        self.inputs: Mapping[str, Any]
        self.outputs: Mapping[str, Any]
        if self._runner is not None:
            self.inputs, self.outputs = self._runner.get_input_details(), self._runner.get_output_details()
        else:
            self.inputs = {details["name"]: details for details in self._interpreter.get_input_details()}
            self.outputs = {details["name"]: details for details in self._interpreter.get_output_details()}
        self._threads = threads
        self._lock = threading.Lock()

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        return cls(artifact.model_path, options.thread_count())

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self._lock:
            if self._runner is not None:
                answers: dict[str, np.ndarray] = self._runner(**inputs)
                return answers
            return self._invoke(inputs)

    def _invoke(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        places = {name: details["index"] for name, details in self.inputs.items()}
        now = {details["index"]: tuple(details["shape"]) for details in self._interpreter.get_input_details()}
        if any(now[places[name]] != values.shape for name, values in inputs.items()):
            for name, values in inputs.items():
                self._interpreter.resize_tensor_input(places[name], values.shape)
            self._interpreter.allocate_tensors()
        for name, values in inputs.items():
            self._interpreter.set_tensor(places[name], values)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(details["index"]) for name, details in self.outputs.items()}

    def conditions(self) -> dict[str, str]:
        return {
            "runtime": "litert",
            "version": metadata.version("ai-edge-litert"),
            "delegate": "xnnpack",
            "threads": str(self._threads),
        }


def _told(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:300] or type(error).__name__
