"""Taking the samples: candidates take turns, one running at a time, round after round."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

from bench import plan
from bench.remote import WorkerError
from bench.yardstick import Reading, slower
from ftc.console import progress
from ftc.measurement import Turn


class Probe(Protocol):
    """What can be timed: a worker process, or the subject inside it."""

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        """Nanoseconds of the model calls of each cell; see `bench.worker.Subject.turn`."""
        ...


def interleaved(
    probes: Mapping[str, Probe],
    counts: Sequence[int],
    calls: Sequence[int],
    *,
    first: int,
    seed: int,
    is_over: Callable[[int], bool],
    arrivals_ns: Callable[[int], Sequence[int]] | None = None,
    keep: Callable[[str, Turn], None],
    fail: Callable[[str, str], None],
    between: Callable[[], Mapping[str, str]] = dict,
    watch: Callable[[], Reading] = Reading,
) -> None:
    """Let candidates take turns in shuffled rounds until there are enough of them.

    The machine's speed changes from one minute to the next; what shares a round shares it. A candidate that
    fails is left out of the rounds that follow.

    :param probes: candidates by id
    :param counts: batches that each has prepared of each cell
    :param calls: model calls of each cell in a turn
    :param first: the number of the first round
    :param is_over: whether so many rounds are enough
    :param arrivals_ns: by the number of the round, when its queries arrive; None runs them one after another
    :param keep: takes each turn as soon as it is over
    :param fail: takes a candidate and why it failed
    :param between: is called between two rounds, and tells who failed there, and why
    :param watch: is called before and after each turn, and reads how fast the cores are
    """
    alive = dict(probes)
    with progress(f"timing {len(probes)} candidates in shuffled rounds") as advance:
        for number in itertools.count(first):
            if is_over(number - first):
                return
            if number > first:
                for name, reason in between().items():
                    del alive[name]
                    fail(name, reason)
            if not alive:
                return
            this = plan.round_of(number, tuple(alive), counts, calls, seed)
            arrivals = arrivals_ns(number) if arrivals_ns is not None else None
            before = watch()
            for name in this.order:
                try:
                    times = alive[name].turn(this.picks, arrivals)
                except WorkerError as error:
                    del alive[name]
                    fail(name, str(error))
                    before = watch()
                else:
                    after = watch()
                    keep(name, Turn(number, tuple(map(tuple, times)), **asdict(slower(before, after))))
                    before = after
            advance()
