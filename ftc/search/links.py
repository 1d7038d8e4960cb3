"""How a candidate is made: links, each a verb of the command line with its options, one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from compress.choices import Graph, Importance, Precision, Runtime

Value = str | int | float | bool | tuple[int, ...]
"""What an option can be."""

VERBS = ("export", "prune", "distill", "quantize")

_EXPORT: Mapping[str, type] = {"to": str, "graph": Graph, "precision": Precision, "lengths": tuple}

OPTIONS: Mapping[str, Mapping[str, type]] = {
    "export": _EXPORT,
    "prune": {
        "keep": float,
        "layers": int,
        "target_speedup": float,
        "runtime": Runtime,
        "importance": Importance,
        "rows": int,
        "vocabulary": bool,
    },
    "distill": {
        "time_budget_s": float,
        "epochs": float,
        "alpha": float,
        "temperature": float,
        "hidden_weight": float,
        "fragments": bool,
        "augment": int,
        "learning_rate": float,
        "evaluations": int,
        "seed": int,
    },
    "quantize": {**_EXPORT, "mode": str, "rows": int},
}
"""What each verb can be told in a chain, and what that is; its own step says what of it fits the model."""


@dataclass(frozen=True, slots=True)
class Link:
    """One verb with those of its options that are not left to it.

    :param options: by name, sorted
    """

    verb: str
    options: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        words = [self.verb]
        for name, value in self.options:
            shown = f"{value:g}" if isinstance(value, float) else value
            if isinstance(value, tuple):
                shown = ",".join(map(str, value))
            if name == "time_budget_s":
                name, shown = "time_budget", f"{value:g}s"
            words += [f"--{name.replace('_', '-')}"] if value is True else [f"--{name.replace('_', '-')}", str(shown)]
        return " ".join(words)


Chain = tuple[Link, ...]
"""What is done to a checkpoint to get a candidate; empty for the checkpoint itself."""


def link(verb: str, **options: Value) -> Link:
    """A link with its options in order."""
    return Link(verb, tuple(sorted(options.items())))


def read_back(verb: str, options: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A link's options as its step takes them, from what JSON has kept of them."""
    return {name: _of_kind(OPTIONS[verb][name], value) for name, value in options}


def _of_kind(kind: type, value: Any) -> Any:
    return kind(value) if kind is tuple or issubclass(kind, StrEnum) else value


def key(chain: Chain) -> str:
    """A chain as one line: the commands that would make the candidate by hand; of the checkpoint itself, that it is."""
    return " | ".join(map(str, chain)) or "as it is"


def digest(text: str) -> str:
    """Six letters that tell this text from others."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]
