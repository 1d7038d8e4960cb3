"""How numbers are written on the page."""

from __future__ import annotations

from math import floor, log10

from bench.intervals import Ratio

NONE = "\N{EN DASH}"
"""Of a cell with nothing in it."""

TIMES = "\N{MULTIPLICATION SIGN}"


def number(value: float | None, factor: float, digits: int) -> str:
    """A value in another unit; adding 0 keeps -0.0 from being written."""
    return NONE if value is None else f"{round(value * factor, digits) + 0.0:.{digits}f}"


def milliseconds(value_ns: float | None) -> str:
    """Three significant digits where there are so many."""
    if value_ns is None:
        return NONE
    value = value_ns / 1e6
    return f"{value:.{max(0, 2 - floor(log10(value)))}f}" if value > 0 else "0"


def interval(ratio: Ratio) -> str:
    """Both ends."""
    return f"{ratio.low:.2f}\N{EN DASH}{ratio.high:.2f}"
