"""How a run is made: what the user may ask for, checked before anything starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.intervals import LEAST_SPREAD, Z
from bench.remote import LIMIT_S
from ftc.errors import InputError
from ftc.measurement import Arrivals, Cell, Scenario
from ftc.runtimes.session import MOST_THREADS

MOST_ROWS = 4096
"""In a batch; the timed sample would be repeated a hundredfold to fill a larger one."""

DEVICES = ("cpu", "cuda")

MOST_SEED = 2**32 - 1

FINEST = math.ceil(1000 * Z * LEAST_SPREAD) / 1000
"""The narrowest precision that may be asked for: every interval allows for so much."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured, and for how long.

    :param threads: threads inside one operator; None takes every core
    :param batch_size: rows of a batch when throughput is timed beside latency
    :param time_budget_s: what timing may take, all candidates together
    :param precision: half the width that intervals must come down to for timing to end sooner, as a fraction of the
        ratio; None takes the whole budget
    :param limit: rows answered for accuracy; None for all
    :param max_drop_points: the accuracy budget, in points of the task's main metric against the checkpoint
    :param scenario: what candidates are ranked by
    :param batch_sizes: of a grid that is timed as well
    :param lengths: of that grid, in tokens; none for the data's own
    :param rate_per_s: queries in a second in the Server scenario
    :param bound_ms: what an answer may take there
    :param time_limit_s: what a candidate may take for one answer before it counts as hung
    :param self_check: whether what others are compared with is measured a second time, as one of them
    """

    threads: int | None = None
    batch_size: int = 8
    time_budget_s: float = 30.0
    limit: int | None = None
    max_drop_points: float = 1.0
    device: str = "cpu"
    seed: int = 0
    precision: float | None = 0.02
    scenario: Scenario = "SingleStream"
    batch_sizes: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    rate_per_s: float | None = None
    bound_ms: float | None = None
    time_limit_s: float = LIMIT_S
    self_check: bool = False

    def __post_init__(self) -> None:
        checked: list[tuple[str, float | None, float, float]] = [
            ("threads", self.threads, 1, MOST_THREADS),
            ("batch-size", self.batch_size, 1, MOST_ROWS),
            ("limit", self.limit, 1, math.inf),
            ("max-drop", self.max_drop_points, 0, 100),
            ("seed", self.seed, 0, MOST_SEED),
            *(("batch-sizes", size, 1, MOST_ROWS) for size in self.batch_sizes),
            *(("lengths", length, 1, math.inf) for length in self.lengths),
        ]
        for name, value, least, most in checked:
            if value is not None and not least <= value <= most:  # not-a-number is in no range, too
                raise InputError(f"--{name} must be {_range(least, most)}, got {value}.")
        if self.precision is not None and not FINEST <= self.precision <= 1:
            raise InputError(
                f"--precision must be from {100 * FINEST:g}% to 100%, or none, got {100 * self.precision:g}%."
            )
        for name, number, unit in (
            ("time-budget", self.time_budget_s, "seconds"),
            ("time-limit", self.time_limit_s, "seconds"),
            ("rate", self.rate_per_s, "queries in a second"),
            ("latency-bound", self.bound_ms, "milliseconds"),
        ):
            check_positive(name, number, unit)
        if self.device not in DEVICES:
            raise InputError(f"--device must be {' or '.join(DEVICES)}, got {self.device!r}.")
        self._check_scenario()

    def _check_scenario(self) -> None:
        serves = self.scenario == "Server"
        if serves and (self.rate_per_s is None or self.bound_ms is None):
            raise InputError("--scenario server needs --rate QPS and --latency-bound MS.")
        if not serves and (self.rate_per_s is not None or self.bound_ms is not None):
            raise InputError("--rate and --latency-bound belong to --scenario server.")
        if self.scenario != "SingleStream" and (self.batch_sizes or self.lengths):
            raise InputError("--batch-sizes and --lengths are a grid beside --scenario single-stream; leave one out.")

    def cells(self) -> tuple[Cell, ...]:
        """What is timed in every round; candidates are ranked by the first."""
        if self.scenario == "Offline":
            return (Cell(batch_size=None),)
        if self.scenario == "Server":
            return (Cell(),)
        grid = [Cell(size, length) for length in self.lengths or (None,) for size in self.batch_sizes or (1,)]
        return tuple(dict.fromkeys((Cell(), Cell(self.batch_size), *grid)))

    def arrivals(self) -> Arrivals | None:
        """Of the Server scenario."""
        if self.rate_per_s is None or self.bound_ms is None:
            return None
        return Arrivals(self.rate_per_s, self.bound_ms)


def check_positive(name: str, number: float | None, unit: str) -> None:
    """:raises InputError: if a number was given for an option that is not above 0, or infinite"""
    if number is not None and not 0 < number < math.inf:  # not-a-number is neither
        raise InputError(f"--{name} must be a number of {unit} above 0, got {number}.")


def check_rate(rate_per_s: float, queries: int, budget_s: float, share: float = 1.0) -> None:
    """:param queries: that are waited for at the least
    :param share: of the time budget, for these
    :raises InputError: if they take longer to come
    """
    coming_s = queries / rate_per_s
    if coming_s > share * budget_s:
        raise InputError(
            f"--rate {rate_per_s:g}: the {queries} queries that are timed at the least take {math.ceil(coming_s)} s to "
            f"come; --time-budget {budget_s:g}s is too short. Give --time-budget {math.ceil(coming_s / share)}s, "
            f"or --rate {math.ceil(100 * queries / (share * budget_s)) / 100:g} or more."
        )


def _range(least: float, most: float) -> str:
    return f"at least {least}" if most == math.inf else f"from {least} to {most}"
