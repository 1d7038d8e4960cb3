"""Which steps lead from one format to another: found in the table of steps, shortest first."""

from __future__ import annotations

from collections.abc import Iterator

from compress.steps import STEPS, Mode
from ftc.errors import InputError


def formats(start: str) -> tuple[str, ...]:
    """The formats that something of format `start` can be exported to."""
    made = dict.fromkeys(entry.makes for entry in STEPS.entries.values())
    return tuple(to for to in made if to != start and _exports(start, to) is not None)


def route(start: str, to: str, mode: Mode | None = None) -> tuple[str, ...]:
    """Names of the steps that make format `to` of a model of format `start`, the last of them in `mode`.

    :param mode: None for an export alone; the steps before a quantizing one are exports
    :raises InputError: if no steps lead there; the message lists what does
    """
    if mode is None:
        found = _exports(start, to)
    else:
        ways = list(_quantizations(start, to, mode))
        found = min(ways, key=len) if ways else None
    if found is not None:
        return found
    if mode is None:
        listed = ", ".join(formats(start)) or "nothing"
        raise InputError(f"nothing makes {to} of {start}; it can be exported to {listed}.")
    there_are = modes(start)
    same = [offered for makes, offered in there_are if makes == to]
    if same:
        raise InputError(f"there is no {mode} quantization to {to} of {start}; there is --mode {', '.join(same)}.")
    listed = ", ".join(f"--to {makes} --mode {offered}" for makes, offered in there_are) or "nothing"
    raise InputError(f"there is no {mode} quantization to {to} of {start}; there is: {listed}.")


def modes(start: str) -> tuple[tuple[str, Mode], ...]:
    """The formats and modes that something of format `start` can be quantized to."""
    there_are = dict.fromkeys((entry.makes, entry.mode) for entry in STEPS.entries.values())
    return tuple(
        (makes, mode) for makes, mode in there_are if mode is not None and any(_quantizations(start, makes, mode))
    )


def _quantizations(start: str, to: str, mode: Mode) -> Iterator[tuple[str, ...]]:
    for name, entry in STEPS.entries.items():
        if entry.mode == mode and entry.makes == to:
            before = _exports(start, entry.takes)
            if before is not None:
                yield (*before, name)


def _exports(start: str, to: str) -> tuple[str, ...] | None:
    ways: dict[str, tuple[str, ...]] = {start: ()}
    frontier = [start]
    while frontier and to not in ways:
        here = frontier.pop(0)
        for name, entry in STEPS.entries.items():
            if entry.mode is None and entry.takes == here and entry.makes not in ways:
                ways[entry.makes] = (*ways[here], name)
                frontier.append(entry.makes)
    return ways.get(to)
