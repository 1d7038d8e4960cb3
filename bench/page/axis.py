"""From values to places along an axis, and the round values that are named on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log, log10

_SPREAD = 3.0
"""Values that differ by more than this factor are shown by their logarithm."""

_MANTISSAS = (1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Tick:
    """:param at: along the axis, 0 to 1"""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """:param low: the value at 0, and
    :param high: that at 1
    :param is_log: whether equal steps are equal factors
    """

    low: float
    high: float
    is_log: bool

    def at(self, value: float) -> float:
        """How far along the axis a value lies; 0 or 1 for what lies beyond its ends."""
        if self.is_log:
            place = log(max(value, self.low) / self.low) / log(self.high / self.low)
        else:
            place = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, place))

    def ticks(self, most: int) -> tuple[Tick, ...]:
        """At most so many round values."""
        values = self._decades(most) if self.is_log else []
        if len(values) < 2:
            values = self._steps(most)
        return tuple(Tick(self.at(value), f"{value:.9g}") for value in values)

    def _decades(self, most: int) -> list[float]:
        powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        for mantissas in (_MANTISSAS, _MANTISSAS[:1]):
            values = [float(f"{m}e{power}") for power in powers for m in mantissas]
            within = [value for value in values if self.low <= value <= self.high]
            if len(within) <= most:
                return within
        return within[:: ceil(len(within) / most)]

    def _steps(self, most: int) -> list[float]:
        span = self.high - self.low
        power = floor(log10(span / most))
        step = next(m * 10.0**power for m in (*_MANTISSAS, 10.0) if span / (m * 10.0**power) <= most)
        return [round(n * step, 12) for n in range(ceil(self.low / step), floor(self.high / step) + 1)]


def positive(values: Sequence[float], margin: float = 0.06) -> Axis:
    """An axis for values above 0, logarithmic where they differ much, with room at its ends.

    :param margin: of the whole length, at either end
    """
    low, high = min(values), max(values)
    if high / low > _SPREAD:
        room = (high / low) ** margin
        return Axis(low / room, high * room, True)
    room = margin * (high - low) or 0.05 * high
    return Axis(low - room, high + room, False)


def linear(values: Sequence[float], least_span: float, margin: float = 0.08) -> Axis:
    """An axis for any values; one that spans less than `least_span` would show nothing but noise."""
    low, high = min(values), max(values)
    missing = max(0.0, least_span - (high - low)) / 2
    room = margin * max(high - low, least_span)
    return Axis(low - missing - room, high + missing + room, False)
