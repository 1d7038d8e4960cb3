"""OpenVINO on the CPU."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import openvino as ov

from ftc.errors import InputError, RunError
from ftc.runtimes.buckets import LENGTHS, Buckets, single_rows

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.manifest import TensorSpec
    from ftc.runtimes.session import SessionOptions

DEVICE = "CPU"

HINT = "PERFORMANCE_HINT"
"""Key of the run settings: ``LATENCY``, or ``THROUGHPUT`` to run the rows of a batch side by side."""

Shape = tuple[int, ...]


class OpenVinoRuntime:
    """A session over an OpenVINO IR: a compiled graph for each fixed shape of a single row, a dynamic one for batches.

    Fixed shapes let the CPU plugin plan memory and choose kernels beforehand: a 6-layer BERT in INT8 answered texts
    of SST-2 1.3 times as fast in buckets as with dynamic shapes. A shape is compiled when it is first asked for,
    which takes some tenths of a second and a copy of the weights of its matrix products. Calls from several threads
    wait for each other.
    """

    formats: ClassVar[frozenset[str]] = frozenset({"openvino"})
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    settings: ClassVar[frozenset[str]] = frozenset({LENGTHS, HINT, "INFERENCE_PRECISION_HINT"})
    concurrent: ClassVar[bool] = False

    def __init__(
        self,
        core: ov.Core,
        model: ov.Model,
        inputs: tuple[TensorSpec, ...],
        buckets: Buckets | None,
        settings: Mapping[str, str],
        path: Path,
    ) -> None:
        self._core, self._model, self._path = core, model, path
        self._inputs = inputs
        self._outputs = [output.any_name for output in model.outputs]
        self._buckets = buckets
        self._settings = dict(settings)
        self._compiled: dict[Shape | None, tuple[ov.CompiledModel, ov.InferRequest]] = {}
        self._pools: dict[Shape, deque[ov.InferRequest]] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        path, manifest = artifact.model_path, artifact.manifest
        core = ov.Core()
        settings = {key: value for key, value in manifest.run.session_config.items() if key != LENGTHS}
        settings["INFERENCE_NUM_THREADS"] = str(options.thread_count())
        model = read_model(core, path)
        names = {name for port in model.outputs for name in port.get_names()}
        if manifest.output not in names:
            raise InputError(f"{path} has no output {manifest.output!r}, which its manifest names. Make it again.")
        if {port.any_name for port in model.inputs} != {spec.name for spec in manifest.inputs}:
            raise InputError(f"{path} has other inputs than its manifest names. Make it again.")
        if Buckets.of(manifest) is not None:
            _unpack_tables(core, model)
        session = cls(core, model, manifest.inputs, Buckets.of(manifest), settings, path)
        session._request(session._smallest())  # what cannot be compiled is found here, not at the first row
        return session

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        feed = {spec.name: inputs[spec.name] for spec in self._inputs}
        rows, *rest = next(iter(feed.values())).shape
        fits = self._buckets is None or rest[0] <= self._buckets.lengths[-1]
        if fits and self._settings.get(HINT) == "THROUGHPUT":
            return self._side_by_side(feed)
        shape: Shape | None = None
        if rows == 1:
            if self._buckets is not None and fits:
                feed = self._buckets.fitted(feed)
                shape = next(iter(feed.values())).shape
            elif self._buckets is None:
                shape = (rows, *rest)
        with self._lock:
            compiled, request = self._request(shape)
            try:
                answers = request.infer(feed, share_inputs=True)  # read in place: the arrays outlive the call
            except RuntimeError as error:
                shapes = ", ".join(f"{name} {tensor.shape}" for name, tensor in feed.items())
                raise RunError(f"{self._path}: OpenVINO cannot run it on {shapes}: {told(error)}") from error
            return {name: answers[compiled.output(name)] for name in self._outputs}

    def _side_by_side(self, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Rows each on their own, in as many streams as the plugin finds best.

        Requests that are waited for in their order: with ``ov.AsyncInferQueue`` threads of OpenVINO would run Python to
        hand their answers over.
        """
        rows = list(single_rows(feed, self._buckets))
        answers: list[dict[str, np.ndarray]] = [{} for _ in rows]
        under_way: dict[ov.InferRequest, int] = {}

        def collect(request: ov.InferRequest) -> None:
            request.wait()
            answers[under_way.pop(request)] = {name: request.get_tensor(name).data.copy() for name in self._outputs}

        with self._lock:
            try:
                for number, row in enumerate(rows):
                    pool = self._pool(next(iter(row.values())).shape)
                    pool.rotate()
                    if pool[0] in under_way:
                        collect(pool[0])
                    pool[0].start_async(row)
                    under_way[pool[0]] = number
                for request in tuple(under_way):
                    collect(request)
            except RuntimeError as error:
                self._pools.clear()  # some may still be at work
                raise RunError(f"{self._path}: OpenVINO cannot run it on {len(rows)} rows: {told(error)}") from error
        return {name: np.concatenate([answer[name] for answer in answers]) for name in self._outputs}

    def _pool(self, shape: Shape) -> deque[ov.InferRequest]:
        """Requests for rows of one shape, as many as the plugin works on at once; the longest used comes last."""
        if shape not in self._pools:
            compiled, _ = self._request(shape)
            streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            self._pools[shape] = deque(compiled.create_infer_request() for _ in range(streams))
        return self._pools[shape]

    def conditions(self) -> dict[str, str]:
        compiled, _ = next(iter(self._compiled.values()))
        used = {
            "performance_hint": HINT,
            "inference_precision": "INFERENCE_PRECISION_HINT",
            "streams": "NUM_STREAMS",
            "threads": "INFERENCE_NUM_THREADS",
        }
        return {
            "runtime": "openvino",
            "version": ov.__version__,
            **{name: _word(compiled.get_property(key)) for name, key in used.items()},
            **({} if self._buckets is None else {LENGTHS: ",".join(map(str, self._buckets.lengths))}),
        }

    def _smallest(self) -> Shape | None:
        if self._buckets is not None:
            return (1, self._buckets.lengths[0])
        sizes = self._inputs[0].shape[1:]
        return (1, *(size for size in sizes if isinstance(size, int))) if _fixed(sizes) else None

    def _request(self, shape: Shape | None) -> tuple[ov.CompiledModel, ov.InferRequest]:
        """The compiled graph for a shape of every input, or for None the dynamic one."""
        if shape not in self._compiled:
            model = self._model
            try:
                if shape is not None:
                    model = model.clone()  # the weights are shared
                    model.reshape({spec.name: list(shape) for spec in self._inputs})
                compiled = self._core.compile_model(model, DEVICE, self._settings)
            except RuntimeError as error:
                raise InputError(f"{self._path}: OpenVINO cannot compile it: {told(error)}") from error
            self._compiled[shape] = compiled, compiled.create_infer_request()
        return self._compiled[shape]


def read_model(core: ov.Core, path: Path) -> ov.Model:
    """Read an IR; its weights are mapped into memory.

    :raises InputError: if it is none, its weights are cut short, or an operator is unknown
    """
    with path.open("rb") as file:
        head = file.read(64)
    # OpenVINO would try the file as each of the formats that it knows, loudly
    if not head.lstrip().startswith((b"<?xml", b"<net")):
        raise InputError(f"{path}: OpenVINO cannot open it: it is no XML. Make the artifact again.")
    try:
        return _named(core.read_model(path))
    except RuntimeError as error:
        message = told(error)
        unknown = re.search(r"operation with type: (\S+)", message)
        if unknown is not None:
            message += f" (layer {_layer_of(path, unknown.group(1))!r})"
        raise InputError(f"{path}: OpenVINO cannot open it: {message}") from error


def _named(model: ov.Model) -> ov.Model:
    """The model with a name for each input and output: converters from PyTorch leave outputs without one."""
    for kind, ports in (("input", model.inputs), ("output", model.outputs)):
        for number, port in enumerate(ports):
            if not port.names:
                port.tensor.set_names({f"{kind}_{number}"})
    return model


def _unpack_tables(core: ov.Core, model: ov.Model) -> None:
    """Turn INT8 embedding tables into float32 once, for all compiled shapes to share.

    The CPU plugin unpacks them anyway, for every graph that it compiles: 47 MB each for the table of BERT with 384
    columns, where the weights of that INT8 model's matrix products take 11.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Gather":
            continue
        table = node.input_value(0)
        if table.get_node().get_type_name() == "Constant" or not _is_constant(table.get_node()):
            continue
        values = core.compile_model(ov.Model([table.get_node()], []), DEVICE, {"INFERENCE_PRECISION_HINT": "f32"})({})
        unpacked = ov.opset13.constant(next(iter(values.values())), shared_memory=False)
        node.input(0).replace_source_output(unpacked.output(0))


def _is_constant(node: ov.Node) -> bool:
    return node.get_type_name() == "Constant" or (
        node.get_input_size() > 0 and all(_is_constant(port.get_node()) for port in node.input_values())
    )


def told(error: BaseException) -> str:
    """What an error of OpenVINO says, without the places in its source that it came through."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Exception from", "Check "))]
    return " ".join(said)[:400] or type(error).__name__


def _layer_of(path: Path, operator: str) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    layer = re.search(rf'<layer [^>]*name="([^"]*)"[^>]*type="{re.escape(operator)}"', text)
    return layer.group(1) if layer is not None else "?"


def _fixed(sizes: tuple[int | str, ...]) -> bool:
    return all(isinstance(size, int) for size in sizes)


def _word(value: Any) -> str:
    """A property as text; types print as ``<Type: 'float32'>``."""
    return value.get_type_name() if isinstance(value, ov.Type) else str(getattr(value, "name", value))
