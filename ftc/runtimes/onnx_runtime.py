"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import onnxruntime as ort

from ftc.errors import InputError, RunError, first_line

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.runtimes.session import SessionOptions

Providers = Sequence[tuple[str, Mapping[str, str]]]


class OnnxRuntime:
    """A session over a `.onnx` file with the settings that its manifest asks for."""

    formats: ClassVar[frozenset[str]] = frozenset({"onnx"})
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    settings: ClassVar[frozenset[str]] = frozenset({"optimization.disable_specified_optimizers"})
    concurrent: ClassVar[bool] = True

    def __init__(self, session: ort.InferenceSession, path: Path, settings: Mapping[str, str], threads: int) -> None:
        self._session = session
        self._path = path
        self._outputs = [output.name for output in session.get_outputs()]
        self._inputs = frozenset(entry.name for entry in session.get_inputs())
        self._settings = dict(settings)
        self._threads = threads

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        return cls.open_with(artifact, options, [("CPUExecutionProvider", {})])

    @classmethod
    def open_with(cls, artifact: Artifact, options: SessionOptions, providers: Providers) -> Self:
        """:param providers: ONNX Runtime's, the one that comes first first, with their settings"""
        path = artifact.model_path
        try:
            settings = ort.SessionOptions()
            settings.intra_op_num_threads = options.thread_count()
            settings.inter_op_num_threads = 1
            settings.log_severity_level = 4  # fatal only: errors are raised too, warnings are about its own rewriting
            for key, value in artifact.manifest.run.session_config.items():
                settings.add_session_config_entry(key, value)
            session = ort.InferenceSession(str(path), settings, providers=list(providers))
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise InputError(f"{path}: ONNX Runtime cannot open it: {first_line(error)}") from error
        wanted = artifact.manifest.output
        if wanted not in [output.name for output in session.get_outputs()]:
            raise InputError(f"{path} has no output {wanted!r}, which its manifest names. Make the artifact again.")
        return cls(session, path, artifact.manifest.run.session_config, options.thread_count())

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        feed = {name: tensor for name, tensor in inputs.items() if name in self._inputs}
        try:
            outputs = self._session.run(self._outputs, feed)
        except Exception as error:  # as above
            shapes = ", ".join(f"{name} {tensor.shape}" for name, tensor in feed.items())
            raise RunError(f"{self._path}: ONNX Runtime cannot run it on {shapes}: {first_line(error)}") from error
        return dict(zip(self._outputs, outputs, strict=True))

    @property
    def providers(self) -> tuple[str, ...]:
        """Those that the session really has: ONNX Runtime leaves out what it cannot load."""
        return tuple(self._session.get_providers())

    def conditions(self) -> dict[str, str]:
        return {
            "runtime": "onnxruntime",
            "version": ort.__version__,
            "providers": ",".join(self.providers),
            "graph_optimization": "all",
            "threads": str(self._threads),
            **self._settings,
        }
