"""How numbers are written on the page."""

from __future__ import annotations

from bench.intervals import Ratio

NONE = "–"
"""Of a cell with nothing in it."""


def number(value: float | None, factor: float, digits: int) -> str:
    """A value in another unit; adding 0 keeps -0.0 from being written."""
    return NONE if value is None else f"{round(value * factor, digits) + 0.0:.{digits}f}"


def milliseconds(value_ns: float | None) -> str:
    """Three significant digits where there are so many."""
    if value_ns is None:
        return NONE
    value = value_ns / 1e6
    return (
        f"{value:.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
        if value >= 0.1
        else f"{value:.3g}"
    )


def interval(ratio: Ratio) -> str:
    """Both ends."""
    return f"{ratio.low:.2f}{NONE}{ratio.high:.2f}"
