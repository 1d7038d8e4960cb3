"""Steps one after the other, each an artifact of its own, with the options that the user gave to any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.apply import Occupied, apply, check_format, check_target
from compress.steps import STEPS
from ftc.errors import InputError, MissingExtra
from ftc.quiet import quiet_libraries

if TYPE_CHECKING:
    from compress.step import Step
    from ftc.artifact import Artifact
    from ftc.data import Dataset

Given = Mapping[str, Any]
"""Options of steps by the names of their fields, those alone that the user gave."""


def named(source: Artifact, step: Step, artifacts: Path) -> Path:
    """The default place of a step's result: ``<artifacts>/<source>-<step>``."""
    return artifacts / f"{source.manifest.name}-{step.suffix}"


def apply_all(
    names: Sequence[str],
    source: Artifact,
    artifacts: Path,
    given: Given,
    data: Dataset | None,
    output: Path | None,
    force: bool,
) -> Artifact:
    """Apply steps in order; the last result goes to `output` if it is given, the others to their default places.

    :raises InputError: if an option belongs to none of the steps, or a step refuses
    """
    understood_by = [options_of_step(name) for name in names]
    check_understood(given, frozenset().union(*understood_by), " and ".join(names))
    if output is not None:
        check_target(output, source, names[-1], replace_existing=force)
    for place, understood in enumerate(understood_by):
        step_class = STEPS.load(names[place])
        mine = {name: value for name, value in given.items() if name in understood}
        check_format(names[place], source)
        step = step_class.for_model(source, data, **mine) if hasattr(step_class, "for_model") else step_class(**mine)
        last = place == len(names) - 1
        try:
            source = apply(
                step,
                source,
                (output if last else None) or named(source, step, artifacts),
                data=data if step.needs_data else None,
                replace_existing=force and last,
            )
        except Occupied as error:
            if last:
                raise
            raise error.on_the_way() from error
    return source


def check_given(names: Sequence[str], given: Given) -> None:
    """:raises InputError: if an option belongs to none of the steps, or one of them refuses its value"""
    understood_by = {name: options_of_step(name) for name in names}
    check_understood(given, frozenset().union(*understood_by.values()), " and ".join(names))
    for name, understood in understood_by.items():
        with quiet_libraries():
            step_class = STEPS.load(name)
        step_class(**{option: value for option, value in given.items() if option in understood})


def check_understood(given: Given, understood: frozenset[str], by: str) -> None:
    """:raises InputError: if there is an option that `by` does not have"""
    for name in given:
        if name not in understood:
            raise InputError(
                f"--{name.replace('_', '-')} is no option of {by}, which this request needs. "
                f"It belongs to {', '.join(_knowing(name)) or 'nothing that is installed'}."
            )


def _knowing(option: str) -> list[str]:
    found = []
    for name, entry in STEPS.entries.items():
        try:
            known = option in options_of_step(name)
        except MissingExtra:
            continue
        if known and entry.makes == entry.takes:
            found.append(name)
        elif known:
            found.append(f"--to {entry.makes}" + (f" --mode {entry.mode}" if entry.mode else ""))
    return list(dict.fromkeys(found))


def options_of_step(name: str) -> frozenset[str]:
    """The names of a step's options."""
    with quiet_libraries():
        return frozenset(field.name for field in fields(STEPS.load(name)))
