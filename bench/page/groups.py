"""Which runs stand together: those of one checkpoint under like conditions, and none else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import alike
from ftc.measurement import Run


@dataclass(frozen=True, slots=True)
class Found:
    """A run, and the name of the file it was read from."""

    source: str
    run: Run


@dataclass(frozen=True, slots=True)
class Gathered:
    """Runs under like conditions.

    :param shown: the last whole run of each file, or its last where none was measured to its end
    :param others: those whose place these have taken
    """

    shown: tuple[Found, ...]
    others: tuple[Found, ...]


def gather(found: Sequence[Found]) -> tuple[Gathered, ...]:
    """Put runs together, the latest first.

    Within a group, too, each run keeps a ranking of its own: candidates are compared where they took turns.

    :param found: runs of each file in the order of the file
    """
    latest = sorted(found, key=lambda one: one.run.started, reverse=True)
    groups: list[list[Found]] = []
    for one in latest:
        group = next((group for group in groups if not differences(one.run, group[0].run)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    return tuple(_apart(group) for group in groups)


def differences(then: Run, now: Run) -> tuple[str, ...]:
    """Why two runs do not stand together; empty where they do."""
    root = (f"checkpoint: {then.root_id} then, {now.root_id} now",) if then.root_id != now.root_id else ()
    return (*root, *alike.differences(then.conditions, now.conditions))


def _apart(group: list[Found]) -> Gathered:
    shown = []
    for source in dict.fromkeys(one.source for one in group):
        runs = [one for one in group if one.source == source]
        shown.append(next((one for one in runs if one.run.is_complete), runs[0]))
    return Gathered(tuple(shown), tuple(one for one in group if one not in shown))
