"""One candidate's standing in a run: its summary, and whether it may win."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench import statistics
from bench.statistics import Ratio
from ftc.measurement import Candidate, Measurement, Run, Samples

Verdict = Literal["winner", "slower", "over budget", "accuracy unknown", "failed"]

_ROUNDING = 1e-9
"""Points; a drop of just the budget is inside it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One candidate's summary and fate; metrics are fractions (0-1).

    :param ratio_to_float_onnx: speed at batch 1 against the float ONNX export
    :param ratio_to_root: speed at batch 1 against the checkpoint in its own framework
    :param label_agreement: fraction (0-1) of rows with the same label as the reference
    :param drop_points: the reference's main metric less this one's, times 100; negative where this is better
    """

    candidate: Candidate
    verdict: Verdict
    reason: str
    metrics: Mapping[str, float]
    drop_points: float | None = None
    label_agreement: float | None = None
    p50_ns: float | None = None
    p90_ns: float | None = None
    rows_per_second: float | None = None
    encode_p50_ns: float | None = None
    ratio_to_float_onnx: Ratio | None = None
    ratio_to_root: Ratio | None = None
    load_ns: int | None = None
    first_call_ns: int | None = None
    peak_rss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """What a run says of each candidate.

    :param float_onnx: the float ONNX export, what speed is compared with
    :param root: the checkpoint, what accuracy is compared with
    """

    run: Run
    float_onnx: Measurement | None
    root: Measurement | None

    def drop_points(self, measurement: Measurement) -> float | None:
        """Points of the main metric lost against the root, or its float export where the root is missing."""
        reference = self.root or self.float_onnx
        metric = self.run.main_metric
        if reference is None or reference.accuracy is None or measurement.accuracy is None:
            return None
        if metric not in reference.accuracy.metrics or metric not in measurement.accuracy.metrics:
            return None
        return 100 * (reference.accuracy.metrics[metric] - measurement.accuracy.metrics[metric])

    def refusal(self, measurement: Measurement) -> tuple[Verdict, str] | None:
        """Why a candidate may not win, however fast it is."""
        if measurement.failure is not None or measurement.samples is None:
            return "failed", f"failed: {measurement.failure or 'not measured'}"
        drop = self.drop_points(measurement)
        if drop is None:
            # a float export has proven on the golden examples that it answers what the checkpoint answers
            if measurement.candidate.lossless:
                return None
            return (
                "accuracy unknown",
                "accuracy not known: give labelled rows with --data, and the checkpoint",
            )
        if drop > self.run.max_drop_points + _ROUNDING:
            return "over budget", f"drop of {drop:.2f} points exceeds {self.run.max_drop_points:g}"
        return None

    def ratio(self, measurement: Measurement, reference: Measurement | None) -> Ratio | None:
        if reference is None or reference.samples is None or measurement.samples is None:
            return None
        return statistics.speed_ratio(
            reference.samples.single_ns, measurement.samples.single_ns, self.run.conditions.seed
        )

    def standing(self, measurement: Measurement, winner: Measurement | None) -> Standing:
        refusal = self.refusal(measurement)
        verdict, reason = refusal or self._beaten(measurement, winner)
        reference = self.root or self.float_onnx
        answered, opened = measurement.accuracy, measurement.opening
        agreement = None
        if answered is not None and reference is not None and reference.accuracy is not None:
            agreement = answered.agreement(reference.accuracy)
        samples = measurement.samples
        return Standing(
            candidate=measurement.candidate,
            verdict=verdict,
            reason=reason,
            metrics=answered.metrics if answered is not None else {},
            drop_points=self.drop_points(measurement),
            label_agreement=agreement,
            p50_ns=statistics.median_ns(samples.single_ns) if samples else None,
            p90_ns=statistics.p90_ns(samples.single_ns) if samples else None,
            rows_per_second=self._throughput(samples),
            encode_p50_ns=statistics.median_ns([samples.encode_ns]) if samples else None,
            ratio_to_float_onnx=self.ratio(measurement, self.float_onnx),
            ratio_to_root=self.ratio(measurement, self.root),
            load_ns=opened.load_ns if opened is not None else None,
            first_call_ns=opened.first_call_ns if opened is not None else None,
            peak_rss_bytes=samples.peak_rss_bytes if samples else None,
        )

    def _throughput(self, samples: Samples | None) -> float | None:
        return statistics.rows_per_second(samples.batch_ns, self.run.conditions.batch_size) if samples else None

    def _beaten(self, measurement: Measurement, winner: Measurement | None) -> tuple[Verdict, str]:
        if winner is None or measurement is winner:
            return "winner", "winner"
        ratio = self.ratio(measurement, winner)
        assert ratio is not None, "both were measured"
        name = winner.candidate.name
        if ratio.is_slower:
            return "slower", f"slower than {name}: {ratio.value:.2f}x"
        return "slower", f"not faster than {name}: {ratio.value:.2f}x ({ratio.low:.2f}-{ratio.high:.2f})"
