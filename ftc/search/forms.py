"""In which forms smaller networks are tried: those that were fastest, and what making them takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ftc.search import plan
from ftc.search.links import Chain

_NEAR = 0.85
"""Of the fastest form's speed: forms this near are about as fast."""

_SHARE = 0.15
"""Of the budget, that bringing a network into a form may take, if it is shown to be faster than what is made sooner.

On SST-2, MiniLM with 38 % of its layers' parameters was 1.23 times as fast in TFLite as in ONNX, where the whole one
was 1.1 to 1.4 times. But TFLite takes three minutes of twenty, and they are a third of the training: with 7.7 minutes
in place of 11 such a network lost 1.26 points in place of 0.69, too many to win.
"""


@dataclass(frozen=True, slots=True)
class Forms:
    """Forms that may be chosen.

    :param ratios: how many times as fast as the reference each is, of those that are not hopeless
    :param lows: the lower ends of their 95 % intervals
    :param seconds: what bringing one network into a form takes
    """

    ratios: Mapping[Chain, float]
    lows: Mapping[Chain, float]
    seconds: Callable[[Chain], float]

    def near(self) -> list[Chain]:
        """Those that are about as fast as the fastest, the fastest first."""
        ranked = plan.fastest_first(self.ratios)
        return [form for form in ranked if self.ratios[form] > _NEAR * self.ratios[ranked[0]]]

    def of_formats(self) -> tuple[Chain, ...]:
        """The two fastest of these, of different formats."""
        of_formats = {dict(form[-1].options)["to"] if form else "": form for form in reversed(self.near())}
        return tuple(form for form in self.near() if form in of_formats.values())[:2]

    def affordable(self, budget_s: float) -> tuple[Chain, ...]:
        """The fastest of these that takes a small part of a budget; where none does, the one that is made soonest.

        So it is where the fastest may be no faster than that, so far as its interval tells.
        """
        fits = [form for form in self.near() if self.seconds(form) <= _SHARE * budget_s]
        soonest = self.soonest()
        is_shown = bool(fits) and self.lows[fits[0]] > self.ratios[soonest[0]]
        return tuple(fits[:1] if is_shown else soonest)

    def soonest(self) -> tuple[Chain, ...]:
        """Of those that are about as fast as the fastest, the one that is made soonest; none where there are none."""
        return tuple(sorted(self.near(), key=self.seconds)[:1])
