"""Whether two runs were made under like conditions, and which one differs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from ftc.manifest import DataRecord
from ftc.measurement import Arrivals, Conditions, Machine

_NOT_COMPARED = {"busy_cores", "load_1min", "memory_available_bytes", "versions", "cells", "machine", "pinned_cores"}
"""What changes from one moment to the next, and what is looked at below."""

_SAME_MEMORY = 0.02
"""What the kernel keeps for itself is not the same after every start."""

_KERNEL = re.compile(r"(?<=^Linux-).*?(?=-with-|$)")
"""In what `platform.platform` tells: release and architecture; the latter is the processor's."""

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

_LIBRARIES = {"litert": ("ai-edge-litert",), "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "tensorrt")}
"""What brings a runtime, where that has another name, or several."""


def differences(then: Conditions, now: Conditions) -> tuple[str, ...]:
    """Each condition that differs, with both values; versions of libraries are apart, see `versions`."""
    return (*_of(then.machine, now.machine), *_of(then, now), *_pinned(then, now), *_cells(then, now))


def versions(then: Conditions, now: Conditions) -> tuple[str, ...]:
    """Libraries, system and Python with another version, or what only one side has."""
    before, after = (
        {**side.machine.versions, "system": side.machine.platform, "Python": side.machine.python}
        for side in (then, now)
    )
    return tuple(
        f"{name} {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def libraries(runtime: str) -> tuple[str, ...]:
    """What brings a runtime."""
    return _LIBRARIES.get(runtime, (runtime,))


def is_same_runtime(runtime: str, then: Conditions, now: Conditions) -> bool:
    """Whether what brings it has the same version on both sides."""
    before, after = then.machine.versions, now.machine.versions
    return all(before.get(name) == after.get(name) for name in libraries(runtime))


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
        if not _is_alike(field.name, before, after):
            yield f"{_WORDS.get(field.name, field.name)}: {_shown(before)} then, {_shown(after)} now"


def _is_alike(name: str, then: object, now: object) -> bool:
    """Whether it makes no difference; a patch of kernel or Python is what releases bring, see `versions`."""
    if name == "memory_bytes" and isinstance(then, int) and isinstance(now, int):
        return abs(then - now) <= _SAME_MEMORY * max(then, now)
    if name == "platform":
        return _KERNEL.sub("", str(then)) == _KERNEL.sub("", str(now))
    if name == "python":
        return str(then).split(".")[:2] == str(now).split(".")[:2]
    return then == now


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
    if isinstance(value, DataRecord):
        return f"{value.rows} rows of {value.source} ({value.fingerprint})"
    if isinstance(value, Arrivals):
        return f"{value.rate_per_s:g} per second, a bound of {value.bound_ms:g} ms"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
