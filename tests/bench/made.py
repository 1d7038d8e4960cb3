"""Runs made by hand: candidates, times and accuracies as a test needs them."""

from __future__ import annotations

from ftc.manifest import DataRecord
from ftc.measurement import (
    Accuracy,
    Candidate,
    Conditions,
    Machine,
    Measurement,
    Opening,
    Run,
    Samples,
)

MACHINE = Machine("a processor", ("avx2",), 2, None, None, 0.1, 10**9, "Linux", "3.11", {"numpy": "2"})
CONDITIONS = Conditions(MACHINE, "cpu", 2, 8, 64, (20, 50), DataRecord("rows.tsv", "f00d", 100), 0)
ROUNDS = 12


def candidate(name: str) -> Candidate:
    """`torch` is the checkpoint, `onnx` its float export; anything else is lossy."""
    return Candidate(
        id=f"id-of-{name}",
        name=name,
        path=f"/nowhere/{name}",
        format="huggingface" if name == "torch" else "onnx",
        runtime="torch" if name == "torch" else "onnxruntime",
        lossless=name in ("torch", "onnx"),
        is_root=name == "torch",
        size_bytes=1000,
    )


def samples(latency_ns: int, jitter: int = 1) -> Samples:
    """Rounds of eight calls around a latency; `jitter` is how far rounds differ, in hundredths."""
    single = tuple((latency_ns + latency_ns * jitter * ((r * 7) % 5 - 2) // 100,) * 8 for r in range(ROUNDS))
    return Samples(single, tuple((4 * latency_ns,) for _ in range(ROUNDS)), (1000,) * 8, 10**8)


def measurement(
    name: str,
    latency_ns: int | None,
    accuracy: float | None = 0.9,
    failure: str | None = None,
    jitter: int = 1,
) -> Measurement:
    answered = None if accuracy is None else Accuracy({"accuracy": accuracy}, (0, 1) * 50)
    taken = None if latency_ns is None else samples(latency_ns, jitter)
    return Measurement(candidate(name), Opening(10**9, 10**7, {}), answered, taken, failure)


def run(*measurements: Measurement, max_drop_points: float = 1.0, id: str = "1") -> Run:
    return Run(id, "2026-01-01T00:00:00+00:00", "id-of-torch", "accuracy", max_drop_points, CONDITIONS, measurements)
