"""Results files of schema 1, read as records of schema 2; see the format history in `ftc/records.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def upgraded(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a line of schema 1 says, as lines of schema 2; what it lacks is left to be missed by their check."""
    base = {"run": record.get("run"), "schema": 2}
    kind = record.get("kind")
    if kind != "measurement":
        yield {**record, **base, **({"conditions": _conditions(record.get("conditions"))} if kind == "run" else {})}
        return
    measurement = record.get("measurement") or {}
    base |= {"candidate_id": (measurement.get("candidate") or {}).get("id")}
    samples = measurement.get("samples") or {}
    if measurement.get("opening") is not None:
        opening = {**measurement["opening"], "encode_ns": samples.get("encode_ns", [])}
        yield {**base, "kind": "opened", "opening": opening}
    if measurement.get("accuracy") is not None:
        yield {**base, "kind": "accuracy", "accuracy": measurement["accuracy"]}
    paired = zip(samples.get("single_ns", []), samples.get("batch_ns", []), strict=True)
    for number, calls in enumerate(paired):
        yield {**base, "kind": "turn", "turn": {"round": number, "calls_ns": calls}}
    closing = {"peak_rss_bytes": samples.get("peak_rss_bytes"), "failure": measurement.get("failure")}
    yield {**base, "kind": "closed", **closing}
    if samples:
        yield {"run": record.get("run"), "schema": 2, "kind": "ended"}


def _conditions(conditions: Any) -> Any:
    if not isinstance(conditions, dict):
        return conditions
    cells = [{"batch_size": 1}, {"batch_size": conditions.get("batch_size")}]
    return {**{key: value for key, value in conditions.items() if key != "batch_size"}, "cells": cells}
