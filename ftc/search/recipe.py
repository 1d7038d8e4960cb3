"""A recipe: the candidates that a search builds instead of those that it would think of, or what it is held to."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from ftc.errors import InputError
from ftc.search.bounds import Bounds
from ftc.search.links import OPTIONS, VERBS, Chain, Link, Value

_EXAMPLE = """[[candidate]]
prune = {keep = 0.5}
quantize = {to = "tflite", mode = "dynamic"}"""

_BOUNDS = """[search]
forms = [{to = "onnx", mode = "dynamic"}]
distill = false"""

_NEEDED = {"export": ("to",), "quantize": ("to", "mode")}


def read(path: Path) -> tuple[Chain, ...] | Bounds:
    """The chains of a recipe, in its order, or what it holds the search to.

    :raises InputError: if the file cannot be read or says anything that is not known
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}.") from error
    if {"search", "candidate"} <= set(told):
        raise InputError(
            f"{path} has both candidates, which are all that is built, and [search], which a search is held to: "
            "leave one of them out."
        )
    if set(told) == {"search"}:
        return _bounds(told["search"], f"{path}, search")
    candidates = told.get("candidate")
    if set(told) != {"candidate"} or not isinstance(candidates, list) or not candidates:
        raise InputError(
            f"{path}: a recipe is a list of candidates, such as\n{_EXAMPLE}\n"
            f"or what a search is held to, such as\n{_BOUNDS}"
        )
    return tuple(_chain(candidate, f"{path}, candidate {number}") for number, candidate in enumerate(candidates, 1))


def _bounds(told: Any, where: str) -> Bounds:
    if not isinstance(told, dict) or not told:
        raise InputError(f"{where} says nothing; it holds a search to something, such as\n{_BOUNDS}")
    if unknown := sorted(set(told) - {"forms", "prune", "distill"}):
        raise InputError(f"{where} has no {unknown[0]!r}; it has forms, prune and distill.")
    for name in ("prune", "distill"):
        if type(told.get(name, True)) is not bool:
            raise InputError(f"{where}: {name} = {told[name]!r} is no {_KINDS[bool]}.")
    forms = told.get("forms")
    if forms is None:
        return Bounds(None, told.get("prune", True), told.get("distill", True))
    if not isinstance(forms, list) or not forms or not all(map(_is_form, forms)):
        raise InputError(f"{where}: forms = {forms!r} is no list of formats and modes, such as\n{_BOUNDS}")
    pairs = dict.fromkeys((form["to"], form["mode"]) for form in forms)
    return Bounds(tuple(pairs), told.get("prune", True), told.get("distill", True))


def _is_form(form: Any) -> bool:
    return isinstance(form, dict) and set(form) == {"to", "mode"} and all(isinstance(v, str) for v in form.values())


def _chain(candidate: Any, where: str) -> Chain:
    if not isinstance(candidate, dict):
        raise InputError(f"{where} is {candidate!r}, no table; a recipe is a list of candidates, such as\n{_EXAMPLE}")
    links = []
    for verb, options in candidate.items():
        if verb not in VERBS:
            raise InputError(f"{where}: {verb!r} is none of {', '.join(VERBS)}.")
        for one in options if isinstance(options, list) else [options]:
            links.append(_link(verb, one, where))
    if not links:
        raise InputError(f"{where} is empty; give at least one of {', '.join(VERBS)}.")
    return tuple(links)


def _link(verb: str, options: Any, where: str) -> Link:
    if not isinstance(options, dict):
        raise InputError(f"{where}: {verb} takes a table of options, such as {verb} = {{to = 'onnx'}}.")
    told: dict[str, Any] = {}
    for name, value in options.items():
        field = "time_budget_s" if name == "time_budget" else name
        if field not in OPTIONS[verb]:
            known = sorted(option.removesuffix("_s") for option in OPTIONS[verb])
            raise InputError(f"{where}: {verb} has no option {name!r}; it has {', '.join(known)}.")
        told[field] = _seconds(value, where) if field == "time_budget_s" else _value(value, OPTIONS[verb][field])
        if told[field] is None:
            raise InputError(f"{where}: {verb} {name} = {value!r} is {_not(OPTIONS[verb][field])}.")
    for needed in _NEEDED.get(verb, ()):
        if needed not in told:
            raise InputError(f"{where}: {verb} needs {needed}.")
    return Link(verb, tuple(sorted(told.items())))


_KINDS: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    tuple: "list of whole numbers",
}


def _not(kind: type) -> str:
    return f"none of {', '.join(kind)}" if issubclass(kind, StrEnum) else f"no {_KINDS[kind]}"


def _value(value: Any, kind: type) -> Value | None:
    """What an option is told, as a value of its kind; None if it is none."""
    if issubclass(kind, StrEnum):
        return kind(value) if value in list(kind) else None
    if kind is tuple:
        are_whole = isinstance(value, list) and all(type(part) is int for part in value)
        return tuple(value) if are_whole else None
    is_of_kind = type(value) is kind or (kind is float and type(value) is int)
    return cast("Value", value) if is_of_kind else None


def _seconds(value: Any, where: str) -> float:
    from ftc.durations import seconds

    try:
        return seconds(str(value))
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
