"""Runs made by hand: candidates, times and accuracies as a test needs them."""

from __future__ import annotations

from ftc.manifest import DataRecord
from ftc.measurement import (
    Accuracy,
    Candidate,
    Cell,
    Conditions,
    Machine,
    Measurement,
    Opening,
    Run,
    Turn,
)

MACHINE = Machine("a processor", ("avx2",), 2, None, None, 0.1, 10**9, "Linux", "3.11", {"numpy": "2"})
CELLS = (Cell(), Cell(8))
CONDITIONS = Conditions(MACHINE, "cpu", 2, CELLS, 8, (20, 50), DataRecord("rows.tsv", "f00d", 100), 0)
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


def turns(latency_ns: int, jitter: int = 1, calls: int = 8) -> tuple[Turn, ...]:
    """Rounds of eight calls around a latency; `jitter` is how far rounds differ, in hundredths."""
    single = ((latency_ns + latency_ns * jitter * ((r * 7) % 5 - 2) // 100,) * calls for r in range(ROUNDS))
    return tuple(Turn(number, (times, (4 * latency_ns,))) for number, times in enumerate(single))


def measurement(
    name: str,
    latency_ns: int | None,
    accuracy: float | None = 0.9,
    failure: str | None = None,
    jitter: int = 1,
) -> Measurement:
    answered = None if accuracy is None else Accuracy({"accuracy": accuracy}, (0, 1) * 50)
    taken = () if latency_ns is None else turns(latency_ns, jitter)
    opening = Opening(10**9, 10**7, {}, (1000,) * 8, (100,) * 8)
    return Measurement(candidate(name), opening, answered, taken, 10**8 if taken else None, failure)


def run(*measurements: Measurement, max_drop_points: float = 1.0, id: str = "1") -> Run:
    return Run(id, "2026-01-01T00:00:00+00:00", "id-of-torch", "accuracy", max_drop_points, CONDITIONS, measurements)
