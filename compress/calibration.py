"""Ranges of a float ONNX model's tensors over calibration batches, collected one batch at a time."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization.calibrate import (
    CalibraterBase,
    CalibrationMethod,
    HistogramCalibrater,
    HistogramCollector,
    TensorsData,
    create_calibrator,
)

from compress import onnx_nodes
from compress.choices import Method
from ftc.errors import InputError, RunError

Batch = Mapping[str, np.ndarray]

ELEMENT_TYPES = {"tensor(float)": onnx.TensorProto.FLOAT, "tensor(float16)": onnx.TensorProto.FLOAT16}
PERCENTILE_BINS = 2048
# ONNX Runtime's default of 128 leaves the divergence search a single candidate, the whole range: entropy
# would be min-max under another name. 512 leaves 193 candidates; the search's cost grows with the square.
ENTROPY_BINS = 512
ENTROPY_LEVELS = 128


def calibrate(
    model_path: Path,
    batches: Iterable[Batch],
    *,
    method: Method,
    op_types: Sequence[str],
    percentile: float = 99.999,
    advance: Callable[[int], None],
) -> TensorsData:
    """Ranges of the float inputs and outputs of every node whose operator is in `op_types`.

    Memory is bounded by the activations of one batch and the histograms, whatever the number of batches. The
    order of the batches does not matter, nor how rows are spread over them; padding counts as data.

    :param model_path: float ONNX model of any size, external data or not; its folder is not written to
    :param batches: input name -> array, axis 0 the rows; lengths may differ from batch to batch. Gone through
        once by MINMAX and twice by the other two, which must know the extremes to lay out a histogram that
        never has to grow: these refuse an iterator
    :param method: MINMAX, PERCENTILE or ENTROPY
    :param op_types: ONNX operator names, those that are going to be quantized
    :param percentile: share of the values kept, in percent, half of the rest cut at each end; PERCENTILE only
    :param advance: called after each batch of each pass with the number of rows, so that every row counts
        :func:`passes` times
    :raises InputError: no batches, an iterator where two passes are needed, a percentile outside (0, 100], or
        no float tensor at all at the operators named
    :raises RunError: a tensor takes a value that is not finite
    """
    if method is not Method.MINMAX and isinstance(batches, Iterator):
        raise InputError(
            f"calibration method '{method}' reads the batches twice and was given an iterator: "
            "pass a list or another re-iterable, or take method 'minmax'"
        )
    if not 0 < percentile <= 100:
        raise InputError(f"percentile is {percentile}: give a number above 0 and at most 100, such as 99.999")
    with tempfile.TemporaryDirectory(prefix="ftc-calibration-") as name:
        folder = Path(name)
        typed = save_typed(model_path, folder / "typed.onnx")
        extremes = _collect(_calibrator(typed, Method.MINMAX, op_types, percentile), batches, advance, model_path)
        _check(extremes, op_types)
        if method is Method.MINMAX:
            return extremes
        calibrator = _calibrator(typed, method, op_types, percentile)
        calibrator.collector = _empty_histograms(calibrator, extremes)
        return _collect(calibrator, batches, advance, model_path)


def passes(method: Method) -> int:
    """How often :func:`calibrate` goes through the batches."""
    return 1 if method is Method.MINMAX else 2


def save_typed(model_path: Path, target: Path) -> Path:
    """Save the model with the element types of its float tensors, and no shapes, filled in; return `target`.

    The quantizer skips every tensor whose type it does not know, without an error. ONNX's own inference stops
    at the first operator outside the standard (a fused Attention), and the exporter's entries may contradict
    it, so ONNX Runtime is asked, which knows the operators it runs. Weights go to a file beside `target`.
    """
    model = onnx_nodes.load(model_path)
    graph = model.graph
    del graph.value_info[:]
    known = {output.name for output in graph.output}
    inner = [name for node in graph.node for name in node.output if name and name not in known]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    onnx.save(model, target, save_as_external_data=True, location=target.name + ".data")
    types = {output.name: output.type for output in _session(target).get_outputs()}
    del graph.output[len(known) :]
    graph.value_info.extend(
        onnx.helper.make_tensor_value_info(name, ELEMENT_TYPES[types[name]], None)
        for name in inner
        if types[name] in ELEMENT_TYPES
    )
    onnx.save(model, target)  # the weights already lie in the external file, and the tensors refer to it
    return target


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    with onnx_nodes.onnx_runtime_failing(path):
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _calibrator(typed: Path, method: Method, op_types: Sequence[str], percentile: float) -> CalibraterBase:
    """ONNX Runtime's calibrator of that method, its instrumented model and session made beside `typed`."""
    options: dict[str, object]
    match method:
        case Method.MINMAX:
            kind, options = CalibrationMethod.MinMax, {}
        case Method.PERCENTILE:
            kind = CalibrationMethod.Percentile
            options = {"percentile": percentile, "num_bins": PERCENTILE_BINS}
        case Method.ENTROPY:
            kind = CalibrationMethod.Entropy
            options = {"num_bins": ENTROPY_BINS, "num_quantized_bins": ENTROPY_LEVELS}
    with onnx_nodes.onnx_runtime_failing(typed):
        return create_calibrator(
            typed,
            list(op_types),
            augmented_model_path=str(typed.with_name(f"{method}.onnx")),
            calibrate_method=kind,
            use_external_data_format=True,  # the only form that holds beyond 2 GB
            # A symmetric range would spend half of an unsigned grid on values that a ReLU never gives.
            extra_options={"symmetric": False, **options},
        )


def _collect(
    calibrator: CalibraterBase, batches: Iterable[Batch], advance: Callable[[int], None], model_path: Path
) -> TensorsData:
    """Feed the batches one by one: what the calibrator keeps of each is a range or a histogram per tensor."""
    given = 0
    for batch in batches:
        # it prints at each call, and stdout is the result's
        with contextlib.redirect_stdout(io.StringIO()), onnx_nodes.onnx_runtime_failing(model_path):
            calibrator.collect_data(_One(batch))
        given += 1
        advance(len(next(iter(batch.values()))))
    if not given:
        raise InputError("no calibration batches: give at least one row of calibration data")
    with contextlib.redirect_stdout(io.StringIO()):
        return calibrator.compute_data()


def _empty_histograms(calibrator: HistogramCalibrater, extremes: TensorsData) -> HistogramCollector:
    """A collector whose histograms already span all values, so that counts only ever add up.

    Left to itself it lays a histogram over its first batch and appends bins of that width: results depend on
    the order, and a first batch near zero makes the bins countless.
    """
    collector = HistogramCollector(
        method=calibrator.method,
        symmetric=calibrator.symmetric,
        num_bins=calibrator.num_bins,
        num_quantized_bins=calibrator.num_quantized_bins,
        percentile=calibrator.percentile,
        scenario=calibrator.scenario,
    )
    for name, data in extremes.items():
        low, high = (np.reshape(bound, ()) for bound in data.range_value)
        reach = np.maximum(np.abs(low), np.abs(high))
        span = (float(-reach), float(reach))
        counts, edges = np.histogram(np.empty(0, low.dtype), calibrator.num_bins, range=span)
        collector.get_histogram_dict()[name] = (counts, edges.astype(low.dtype), low, high, reach)
    return collector


def _check(extremes: TensorsData, op_types: Sequence[str]) -> None:
    if not extremes.data:
        raise InputError(
            f"the model has no float tensor at any {' or '.join(op_types)}: name operator types that it has"
        )
    for name, data in extremes.items():
        if not np.isfinite(data.range_value).all():
            raise RunError(
                f"tensor {name!r} ranges from {data.lowest} to {data.highest} on the calibration data: "
                "values that are not finite cannot be quantized; leave its operator type out"
            )


class _One:
    """A calibration data reader, as ONNX Runtime calls it, of a single batch."""

    def __init__(self, batch: Batch) -> None:
        self.left: dict[str, np.ndarray] | None = dict(batch)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch, self.left = self.left, None
        return batch
