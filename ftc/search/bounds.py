"""What a recipe holds a search to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """:param forms: the quantizations that are tried, each a format and a mode; None for all that are likely

    :param prune: whether smaller networks are looked for
    :param distill: whether one of them is trained
    """

    forms: tuple[tuple[str, str], ...] | None = None
    prune: bool = True
    distill: bool = True
