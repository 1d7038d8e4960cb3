"""Runs as a report is made of them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from ftc.manifest import Ancestor, StepRecord
from ftc.measurement import Accuracy, Candidate, Caution, Measurement, Run, Turn
from tests.bench.made import ROUNDS, measurement, run

HOSTILE = "</title><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\"{{ 7 * 7 }}|*_"
"""A name that would be more than text where anything forgot to escape it."""

RIGHT = (0, 1) * 50


def measured(
    name: str, latency_ns: int, wrong: int, runtime: str | None = None, size_bytes: int = 10**7
) -> Measurement:
    """A candidate with calls of many lengths, that answers so many of a hundred rows wrongly."""
    made = measurement(name, latency_ns)
    one = replace(made.candidate, runtime=runtime or made.candidate.runtime, size_bytes=size_bytes)
    random_ns = random.Random(0)  # the same for all: examples have their lengths whoever runs them
    turns = tuple(
        Turn(number, (tuple(int(latency_ns * random_ns.lognormvariate(0, 0.3)) for _ in range(8)), (4 * latency_ns,)))
        for number in range(ROUNDS)
    )
    answers = tuple(1 - target if row < wrong else target for row, target in enumerate(RIGHT))
    accuracy = Accuracy({"accuracy": 1 - wrong / len(RIGHT)}, answers)
    return replace(made, candidate=_with_lineage(one, name), turns=turns, accuracy=accuracy)


def _with_lineage(one: Candidate, name: str) -> Candidate:
    root = Ancestor("id-of-torch", "torch", "huggingface", None)
    if name == "torch":
        return replace(one, lineage=(root,))
    step = StepRecord("quantize-somehow", {"per_channel": True, "exclude": ("a", "b"), "graph": "fused"})
    return replace(one, lineage=(root, Ancestor(f"id-of-{name}", "made", "onnx", step)))


def usual(**changes: Any) -> Run:
    """A checkpoint, its float export, two that are faster, one over the budget, and one that failed."""
    made = run(
        measured("torch", 9_000_000, 5, size_bytes=9 * 10**7),
        measured("onnx", 4_000_000, 5, size_bytes=9 * 10**7),
        measured("int8", 1_500_000, 6),
        measured("lite", 2_000_000, 4, "litert", 3 * 10**7),
        measured("wrong", 1_000_000, 30, "openvino"),
        measurement("broken", None, failure="the process died: killed by signal 9"),
    )
    cautions = (Caution("noisy", "the machine is busy.", "Measure again when it is quiet."),)
    made = replace(made, id="a1", targets=RIGHT, labels=("no", "yes"), cautions=cautions, precision=0.02)
    return replace(made, time_budget_s=60.0, **changes)


def renamed(made: Run, old: str, new: str) -> Run:
    """The run with another name for a candidate."""
    return replace(
        made,
        measurements=tuple(
            replace(m, candidate=replace(m.candidate, name=new)) if m.candidate.name == old else m
            for m in made.measurements
        ),
    )
