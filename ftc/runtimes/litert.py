"""LiteRT (TensorFlow Lite) on the CPU, with XNNPACK."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.environment import Environment, EnvironmentOptions
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.options import CpuOptions, Options

from ftc.errors import InputError, RunError
from ftc.quiet import quiet_libraries
from ftc.runtimes.buckets import LENGTHS, Buckets, single_rows
from ftc.runtimes.stored import stored, value

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.manifest import Manifest, TensorSpec
    from ftc.runtimes.session import SessionOptions

SIGNATURE = "serving_default"
"""The signature of files that have one for all inputs."""

_NO_DELEGATES = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES

IN_MEMORY = ":memory"
"""Where XNNPACK keeps weights in the order of its kernels; this place is one that all signatures share.

With a copy for each signature, the weights of the one that runs next are not in the processor's cache: a 6-layer BERT
in INT8 took 1.57 ms for 15 tokens when lengths changed between calls, and 0.93 ms with this.
"""


def signature_of(length: int) -> str:
    """The signature that takes texts of `length` tokens."""
    return f"length_{length}"


class LiteRt:
    """A compiled `.tflite` file whose signatures take one row each.

    Rows of a batch run one after the other, a text in the smallest length bucket that holds it. Calls from several
    threads wait for each other.
    """

    formats: ClassVar[frozenset[str]] = frozenset({"tflite"})
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    settings: ClassVar[frozenset[str]] = frozenset({LENGTHS})
    concurrent: ClassVar[bool] = False

    def __init__(self, model: CompiledModel, manifest: Manifest, buckets: Buckets | None, threads: int) -> None:
        self._model, self._manifest = [model], manifest
        self._buckets = buckets
        self._threads = threads
        self._signatures: dict[str, _Signature] = {}
        self._lock = threading.Lock()
        weakref.finalize(self, _let_go, self._model, self._signatures)
        # the first numbers that are written anywhere start something once more, which tells of it
        with quiet_libraries():
            name = SIGNATURE if buckets is None else signature_of(buckets.lengths[0])
            self._signatures[name] = _Signature(model, name, manifest)
            self._signatures[name].warm_up()

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        path, manifest, threads = artifact.model_path, artifact.manifest, options.thread_count()
        compilation = Options(
            hardware_accelerators=HardwareAccelerator.CPU,
            cpu_options=CpuOptions(num_threads=threads, xnnpack_weight_cache_path=IN_MEMORY),
        )
        try:
            with quiet_libraries():  # it tells of every accelerator that it looks for
                # the other one takes a damaged file as it is, and ends the process
                verified = Interpreter(model_path=str(path), experimental_op_resolver_type=_NO_DELEGATES)
                environment = Environment.create(options=EnvironmentOptions())
                model = CompiledModel.from_file(str(path), environment=environment, options=compilation)
                there_are = model.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: LiteRT cannot open it: {error}") from error
        buckets = Buckets.of(manifest)
        wanted = [signature_of(length) for length in buckets.lengths] if buckets is not None else [SIGNATURE]
        for name in wanted:
            if name not in there_are:
                raise InputError(
                    f"{path}: it has no signature {name!r}, only {', '.join(map(repr, there_are)) or 'none'}."
                )
            if set(there_are[name]["inputs"]) != {spec.name for spec in manifest.inputs}:
                raise InputError(f"{path} has other inputs than its manifest names. Make it again.")
            if manifest.output not in there_are[name]["outputs"]:
                raise InputError(f"{path} has no output {manifest.output!r}, which its manifest names. Make it again.")
            stored_as = [*verified.get_input_details(), *verified.get_output_details()] if buckets is None else []
            scales = {details["index"]: details["quantization"] for details in stored_as}
            described = model.get_input_tensor_details(name) | model.get_output_tensor_details(name)
            for spec in (*manifest.inputs, *manifest.outputs):
                _check(spec, described[spec.name], scales, path)
        return cls(model, manifest, buckets, threads)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        answers: list[dict[str, np.ndarray]] = []
        with self._lock:
            for row in single_rows(inputs, self._buckets):
                name = SIGNATURE if self._buckets is None else signature_of(next(iter(row.values())).shape[1])
                if name not in self._signatures:
                    self._signatures[name] = _Signature(self._model[0], name, self._manifest)
                answers.append(self._signatures[name](row))
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    def conditions(self) -> dict[str, str]:
        return {
            "runtime": "litert",
            "version": metadata.version("ai-edge-litert"),
            "delegate": "xnnpack",
            "threads": str(self._threads),
            **({} if self._buckets is None else {LENGTHS: ",".join(map(str, self._buckets.lengths))}),
        }


def _let_go(model: list[CompiledModel], signatures: dict[str, _Signature]) -> None:
    with quiet_libraries():  # it tells of every accelerator that it lets go
        signatures.clear()
        model.clear()


class _Signature:
    """One signature with the memory of its inputs and outputs."""

    def __init__(self, model: CompiledModel, name: str, manifest: Manifest) -> None:
        self._model, self._name = model, name
        takes, gives = model.get_input_tensor_details(name), model.get_output_tensor_details(name)
        self._inputs = [(spec, tuple(takes[spec.name]["shape"])) for spec in manifest.inputs]
        self._outputs = [(spec, tuple(gives[spec.name]["shape"])) for spec in manifest.outputs]
        self._taken = {spec.name: model.create_input_buffer_by_name(name, spec.name) for spec, _ in self._inputs}
        self._given = {spec.name: model.create_output_buffer_by_name(name, spec.name) for spec, _ in self._outputs}

    def warm_up(self) -> None:
        """Write zeros to every input."""
        for spec, shape in self._inputs:
            self._taken[spec.name].write(np.zeros(shape, spec.dtype))

    def __call__(self, row: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        for spec, shape in self._inputs:
            values = stored(row[spec.name], spec)
            if values.shape != shape:  # LiteRT would take fewer numbers, and keep the last call's for the rest
                raise InputError(f"input {spec.name!r} has shape {values.shape}, and the model takes {shape}.")
            self._taken[spec.name].write(values)
        try:
            self._model.run_by_name(self._name, self._taken, self._given)
        except RuntimeError as error:
            raise RunError(f"LiteRT cannot run {self._name!r}: {error}") from error
        return {
            spec.name: value(self._given[spec.name].read(math.prod(shape), spec.dtype).reshape(shape), spec)
            for spec, shape in self._outputs
        }


def _check(spec: TensorSpec, details: Mapping[str, Any], scales: Mapping[int, tuple[float, int]], path: Path) -> None:
    """Hold what a manifest says of a tensor to what the file says.

    :param scales: of the file's quantized inputs and outputs, by their numbers; texts have none
    """
    scale, zero_point = scales.get(details["index"], (0.0, 0))
    in_file = (details["dtype"], scale or None, zero_point if scale else None)
    in_manifest = (spec.dtype, spec.scale, spec.zero_point)
    sizes = zip(spec.shape, details["shape"], strict=False)
    fits = len(spec.shape) == len(details["shape"]) and all(
        size == there for size, there in sizes if isinstance(size, int)
    )
    if in_file != in_manifest or not fits:
        raise InputError(
            f"{path}: its manifest describes {spec.name!r} as {spec.dtype} {spec.shape} with scale {spec.scale}, "
            f"and the file has {details['dtype']} {tuple(details['shape'])} with scale {scale or None}. Make it again."
        )
