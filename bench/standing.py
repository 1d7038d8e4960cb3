"""One candidate's standing in a run: its summary, and whether it may win."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench import agreement, intervals, plan, statistics
from bench.agreement import Collapse, Drop
from bench.disturbance import KINDS, LEAST_CLEAR, Kind, slowed
from bench.intervals import Ratio, Rounds
from ftc.measurement import Arrivals, Candidate, Cell, Measurement, Run

Verdict = Literal[
    "winner",
    "slower",
    "no difference",
    "not chosen",
    "not compared",
    "over budget",
    "over the bound",
    "accuracy unknown",
    "refused",
    "self-check",
    "failed",
]
"""`slower` was shown to be; of `no difference` none was shown; `not chosen` is faster than the winner, but was not
shown to be faster than the reference, or is not what a search looked for. `refused` is what a search says of a
candidate that breaks one of its limits, and what candidates are in a run whose self-check did not pass."""

_ROUNDING = 1e-9
"""Points; a drop of just the budget is inside it."""


@dataclass(frozen=True, slots=True)
class CellStanding:
    """How fast a candidate was in one cell.

    :param ratio: speed against what the others are compared with
    """

    cell: Cell
    p50_ns: float
    rows_per_second: float
    ratio: Ratio | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One candidate's summary and fate; metrics are fractions (0-1).

    :param ratio_to_float_onnx: speed in the first cell against the float ONNX export
    :param ratio_to_root: speed in the first cell against the checkpoint in its own framework
    :param label_agreement: fraction (0-1) of rows with the same label as the reference
    :param drop_points: the reference's main metric less this one's, times 100; negative where this is better
    :param drop: the same with its uncertainty; None where the rows have no labels
    :param collapsed: classes that lose far more than all rows do
    :param rounds: in which it had its turn
    :param clear_rounds: those of them in which nothing slowed the cores for it or for what speed is compared with
    :param batch_size: rows of a call that suited it best, in the Offline scenario
    """

    candidate: Candidate
    verdict: Verdict
    reason: str
    metrics: Mapping[str, float]
    drop_points: float | None = None
    drop: Drop | None = None
    collapsed: tuple[Collapse, ...] = ()
    label_agreement: float | None = None
    p50_ns: float | None = None
    p90_ns: float | None = None
    p99_ns: float | None = None
    samples: int = 0
    rounds: int = 0
    clear_rounds: int = 0
    rows_per_second: float | None = None
    batch_size: int | None = None
    encode_p50_ns: float | None = None
    decode_p50_ns: float | None = None
    ratio_to_float_onnx: Ratio | None = None
    ratio_to_root: Ratio | None = None
    cells: tuple[CellStanding, ...] = ()
    load_ns: int | None = None
    first_call_ns: int | None = None
    peak_rss_bytes: int | None = None
    peak_gpu_bytes: int | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """What a run says of each candidate.

    :param float_onnx: the float ONNX export, what speed is compared with
    :param root: the checkpoint, what accuracy is compared with
    :param slowed: turns around which a core was slowed, by the candidate's id and the round (see `bench.disturbance`)
    """

    run: Run
    float_onnx: Measurement | None
    root: Measurement | None
    slowed: frozenset[tuple[str, int]] = frozenset()

    @property
    def reference(self) -> Measurement | None:
        """What speed is compared with: the float export, or else the checkpoint, or else the first that was timed."""
        timed = (known for known in self.run.measurements if known.is_timed and known.candidate.twin_of is None)
        return self.float_onnx or self.root or next(timed, None)

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
        if not measurement.is_timed:
            interrupted = "the run was interrupted before it was timed"
            return "failed", f"failed: {measurement.failure or interrupted}"
        if measurement.candidate.twin_of is not None:
            return "self-check", "the same file in a second process"
        late = self._late(measurement)
        if late is not None:
            return "over the bound", late
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

    def ratio(self, measurement: Measurement, reference: Measurement | None, cell: int = 0) -> Ratio | None:
        """How many times as fast as another candidate in a cell, by the rounds that nothing disturbed.

        Where these are too few, all rounds count, and the interval holds what either tells. None where too few rounds
        are common.
        """
        if reference is None or not reference.is_timed or not measurement.is_timed:
            return None
        if reference is measurement:
            return intervals.ITSELF
        clear, counted = self.clear(measurement, reference), self.counted(measurement, reference)
        ratio = self._ratio(measurement, reference, cell, counted)
        if ratio is None or counted == clear:
            return ratio
        by_clear = self._ratio(measurement, reference, cell, clear) or ratio
        return Ratio(ratio.value, min(ratio.low, by_clear.low), max(ratio.high, by_clear.high))

    def counted(self, measurement: Measurement, reference: Measurement) -> frozenset[int]:
        """The rounds that their ratio comes from: those that nothing disturbed, or where these are too few, all."""
        clear = self.clear(measurement, reference)
        return clear if len(clear) >= LEAST_CLEAR else self.common(measurement, reference)

    def common(self, measurement: Measurement, reference: Measurement) -> frozenset[int]:
        """The rounds in which both had their turn."""
        return frozenset(measurement.processes.keys() & reference.processes.keys())

    def clear(self, measurement: Measurement, reference: Measurement) -> frozenset[int]:
        """Those of them in which nothing slowed the cores."""
        return self.common(measurement, reference) - self._slowed_rounds(measurement, reference)

    def _slowed_rounds(self, *measurements: Measurement | None) -> frozenset[int]:
        """The rounds in which a turn of one of these was slowed."""
        ids = {known.candidate.id for known in measurements if known is not None}
        return frozenset(number for id, number in self.slowed if id in ids)

    def _ratio(
        self, measurement: Measurement, reference: Measurement, cell: int, numbers: Collection[int]
    ) -> Ratio | None:
        ours, theirs = measurement.processes, reference.processes
        first, second = (self._rounds(known, cell) for known in (reference, measurement))
        return intervals.speed_ratio(
            {number: first[number] for number in numbers},
            {number: second[number] for number in numbers},
            self.run.conditions.seed,
            {number: (theirs[number], ours[number]) for number in numbers},
        )

    def precision(self, measurement: Measurement, reference: Measurement | None) -> float | None:
        """Half the width of the widest interval of its ratios, in a grid of those in all cells, else in the first.

        None where too few rounds are common.
        """
        cells = range(len(self.run.conditions.cells) if self.run.conditions.is_grid else 1)
        ratios = (self.ratio(measurement, reference, cell) for cell in cells)
        return max((ratio.precision for ratio in ratios if ratio is not None), default=None)

    def typical_ns(self, measurement: Measurement) -> float:
        """The median time of a call in the first cell, or of a row where batches differ in size."""
        return statistics.percentile_ns(self._rounds(measurement, 0).values(), 50) or 0.0

    def standing(self, measurement: Measurement, winner: Measurement | None) -> Standing:
        """The candidate's summary, its verdict, and why."""
        verdict, reason = self._verdict(measurement, winner)
        reference = self.root or self.float_onnx
        answered, opened = measurement.accuracy, measurement.opening
        label_agreement, drop = None, None
        collapsed: tuple[Collapse, ...] = ()
        if answered is not None and reference is not None and reference.accuracy is not None:
            label_agreement = answered.agreement(reference.accuracy)
            targets, theirs, ours = self.run.targets, reference.accuracy.predictions, answered.predictions
            if targets and measurement is not reference:
                drop = agreement.drop(targets, theirs, ours, self.run.conditions.seed)
                collapsed = agreement.collapses(self.run.labels, targets, theirs, ours)
        times = measurement.by_round() if measurement.is_timed else {}
        return Standing(
            candidate=measurement.candidate,
            verdict=verdict,
            reason=reason,
            metrics=answered.metrics if answered is not None else {},
            drop_points=self.drop_points(measurement),
            drop=drop,
            collapsed=collapsed,
            label_agreement=label_agreement,
            p50_ns=statistics.percentile_ns(times.values(), 50) if times else None,
            p90_ns=statistics.percentile_ns(times.values(), 90) if times else None,
            p99_ns=statistics.percentile_ns(times.values(), 99) if times else None,
            samples=sum(map(len, times.values())),
            rounds=len(times),
            clear_rounds=len(times.keys() - self._slowed_rounds(measurement, self.reference)),
            rows_per_second=self._throughput(measurement),
            batch_size=opened.batch_size if opened is not None else None,
            encode_p50_ns=statistics.percentile_ns([opened.encode_ns], 50) if opened and opened.encode_ns else None,
            decode_p50_ns=statistics.percentile_ns([opened.decode_ns], 50) if opened and opened.decode_ns else None,
            ratio_to_float_onnx=self.ratio(measurement, self.float_onnx),
            ratio_to_root=self.ratio(measurement, self.root),
            cells=self._cells(measurement),
            load_ns=opened.load_ns if opened is not None else None,
            first_call_ns=opened.first_call_ns if opened is not None else None,
            peak_rss_bytes=measurement.peak_rss_bytes,
            peak_gpu_bytes=measurement.peak_gpu_bytes,
            power_w=measurement.power_w,
        )

    def _verdict(self, measurement: Measurement, winner: Measurement | None) -> tuple[Verdict, str]:
        refusal, choice = self.refusal(measurement), self.run.choice
        if choice is None:
            return refusal or self._beaten(measurement, winner)
        if refusal is not None and refusal[0] in ("failed", "self-check"):
            return refusal
        if measurement is winner:
            return "winner", "winner"
        if (why := choice.refused.get(measurement.candidate.id)) is not None:
            return "refused", why
        return self._beaten(measurement, winner) if winner is not None else ("refused", choice.reason)

    def _rounds(self, measurement: Measurement, cell: int) -> Rounds:
        """The times to be paired: calls, or where batches differ in size the time of a row, by the round."""
        times = measurement.by_round(cell)
        size = self._batch_size(measurement, cell)
        if self.run.conditions.cells[cell].batch_size is None:
            return {number: (sum(calls) / (len(calls) * size),) for number, calls in times.items()}
        return times

    def _batch_size(self, measurement: Measurement, cell: int) -> int:
        fixed = self.run.conditions.cells[cell].batch_size
        return fixed or (measurement.opening.batch_size if measurement.opening is not None else None) or 1

    def _cells(self, measurement: Measurement) -> tuple[CellStanding, ...]:
        if not measurement.is_timed:
            return ()
        return tuple(
            CellStanding(
                self.run.conditions.cells[cell],
                statistics.percentile_ns(measurement.by_round(cell).values(), 50) or 0.0,
                statistics.rows_per_second(measurement.by_round(cell).values(), self._batch_size(measurement, cell)),
                self.ratio(measurement, self.reference, cell),
            )
            for cell in range(len(self.run.conditions.cells))
        )

    def _throughput(self, measurement: Measurement) -> float | None:
        """Rows in a second, in batches if there are some; of a service it is the rate that it was asked at."""
        if not measurement.is_timed or self.run.conditions.scenario == "Server":
            return None
        cell = self.run.conditions.throughput_cell
        times = measurement.by_round(cell).values()
        return statistics.rows_per_second(times, self._batch_size(measurement, cell))

    def _late(self, measurement: Measurement) -> str | None:
        """Why a service of it would answer too late; judged by the highest percentile that is known."""
        arrivals = self.run.conditions.arrivals
        if arrivals is None:
            return None
        service_ns = self._service_ns(measurement, arrivals)
        if service_ns * arrivals.rate_per_s >= 1e9:  # its queue grows for ever, and turns are too short to show it
            call = f"a call takes {service_ns / 1e6:.2f} ms on average"
            return f"cannot keep up with {arrivals.rate_per_s:g} per second: {call}"
        times = list(measurement.by_round().values())
        for percentile in (99, 90):
            value = statistics.percentile_ns(times, percentile)
            if value is not None:
                if value <= arrivals.bound_ms * 1e6:
                    return None
                return f"p{percentile} of {value / 1e6:.1f} ms exceeds the bound of {arrivals.bound_ms:g} ms"
        return f"fewer than {statistics.floor(90)} queries cannot show that it keeps the bound: longer --time-budget"

    def _service_ns(self, measurement: Measurement, arrivals: Arrivals) -> float:
        """What a call takes on average, waiting for others left out; the median over rounds, some of which stalled."""
        seed = self.run.conditions.seed
        means = [
            statistics.service_ns(times, plan.arrivals_ns(number, arrivals.rate_per_s, len(times), seed)).mean()
            for number, times in measurement.by_round().items()
        ]
        return float(np.median(means))

    def _beaten(self, measurement: Measurement, winner: Measurement | None) -> tuple[Verdict, str]:
        if winner is None:
            return "refused", "not ranked, since the self-check did not pass"
        if measurement is winner:
            return "winner", "winner"
        ratio = self.ratio(measurement, winner)
        name = winner.candidate.name
        if ratio is None:
            return "not compared", f"not compared with {name}: too few rounds in common"
        if ratio.is_slower:
            return "slower", f"slower than {name}: {ratio}"
        if ratio.is_faster:
            why = "not what the search looked for" if self.run.choice else "which was not shown against the reference"
            return "not chosen", f"faster than {name}: {ratio}, {why}"
        return "no difference", f"no difference shown to {name}: {ratio}"


def judge_of(run: Run, kinds: Sequence[Kind] = KINDS) -> Judge:
    """The judge of a run, with what its candidates are compared with.

    :param kinds: of slowness, which rounds are told by
    """
    timed = sorted((known for known in run.measurements if known.is_timed), key=lambda known: known.candidate.name)
    return Judge(
        run,
        float_onnx=next((known for known in timed if known.candidate.is_float_onnx), None),
        root=next((known for known in timed if known.candidate.is_root), None),
        slowed=slowed(((known.candidate.id, turn) for known in run.measurements for turn in known.turns), kinds),
    )
