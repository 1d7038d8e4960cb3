"""Whether two runs were made under like conditions, and which one differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from ftc.measurement import Conditions, Machine

_NOT_COMPARED = {"busy_cores", "load_1min", "memory_available_bytes", "versions", "cells", "machine", "pinned_cores"}
"""What changes from one moment to the next, and what is looked at below."""

_WORDS = {
    "cpu": "processor",
    "cpu_quota": "quota of cores",
    "memory_bytes": "memory",
    "memory_limit_bytes": "limit of memory",
    "platform": "operating system",
    "python": "version of Python",
    "gpu": "GPU",
    "instructions": "instruction sets",
    "timed_examples": "number of timed examples",
    "form": "form of the rows",
    "data": "data",
    "arrivals": "arrivals of queries",
}


def differences(then: Conditions, now: Conditions) -> tuple[str, ...]:
    """Each condition that differs, with both values; versions of libraries are apart, see `versions`."""
    return (*_of(then.machine, now.machine), *_of(then, now), *_pinned(then, now), *_cells(then, now))


def versions(then: Conditions, now: Conditions) -> tuple[str, ...]:
    """Libraries with another version, or that only one side has."""
    before, after = then.machine.versions, now.machine.versions
    return tuple(
        f"{name} {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _of(then: Machine | Conditions, now: Machine | Conditions) -> Iterator[str]:
    for field in fields(then):
        before, after = getattr(then, field.name), getattr(now, field.name)
        if field.name in _NOT_COMPARED:
            continue
        if (
            field.name == "data"
            and before is not None
            and after is not None
            and before.fingerprint == after.fingerprint
        ):
            continue  # the same rows in a file of another name
        if before != after:
            yield f"{_WORDS.get(field.name, field.name)}: {_shown(before)} then, {_shown(after)} now"


def _pinned(then: Conditions, now: Conditions) -> Iterator[str]:
    """Cores of a kind are as good as each other; how many there are is what counts."""
    before, after = (None if side.pinned_cores is None else len(side.pinned_cores) for side in (then, now))
    if before != after:
        yield f"cores that candidates were held to: {_shown(before)} then, {_shown(after)} now"


def _cells(then: Conditions, now: Conditions) -> Iterator[str]:
    """Ratios are of the first cell; another grid beside it changes nothing."""
    if then.cells[0] != now.cells[0]:
        yield f"what is timed: {then.cells[0]} then, {now.cells[0]} now"


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
