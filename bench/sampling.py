"""Taking the samples: candidates take turns, one running at a time, round after round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bench import plan as plans
from bench.remote import WorkerError
from ftc.console import progress

if TYPE_CHECKING:
    from bench.worker import Kind


class Probe(Protocol):
    """What can be timed: a worker process, or the subject inside it."""

    def sample(self, kind: Kind, order: Sequence[int]) -> list[int]: ...


@dataclass(slots=True)
class Taken:
    """A candidate's times so far, one tuple of nanoseconds for each round, and why there are no more."""

    single_ns: list[tuple[int, ...]] = field(default_factory=list)
    batch_ns: list[tuple[int, ...]] = field(default_factory=list)
    failure: str | None = None

    def turn(self, probe: Probe, singles: Sequence[int], batches: Sequence[int]) -> None:
        """Let the candidate have its turn, unless it has failed before."""
        if self.failure is not None:
            return
        try:
            single_ns, batch_ns = probe.sample("single", singles), probe.sample("batch", batches)
        except WorkerError as error:
            self.failure = str(error)
        else:
            self.single_ns.append(tuple(single_ns))
            self.batch_ns.append(tuple(batch_ns))


def interleaved(
    probes: Mapping[str, Probe], singles: int, batches: int, *, budget_ns: float, seed: int
) -> dict[str, Taken]:
    """Warm every candidate up with one whole pass, then sample them in shuffled rounds.

    The machine's speed changes from one minute to the next; what shares a round shares it. A candidate that
    fails is left out of the rounds that follow.

    :param probes: candidates by id
    :param singles: single examples that each has prepared
    :param batches: batches that each has prepared
    :param budget_ns: what the rounds may take, all candidates together
    """
    warm = {name: Taken() for name in probes}
    with progress("warming up", len(probes)) as advance:
        for name, probe in probes.items():
            warm[name].turn(probe, range(singles), range(batches))
            advance()
    costs = [sum(taken.single_ns[0]) + sum(taken.batch_ns[0]) for taken in warm.values() if taken.failure is None]
    plan = plans.fit(sum(costs), singles, batches, budget_ns)
    counted = {name: Taken(failure=taken.failure) for name, taken in warm.items()}
    with progress(f"timing {len(probes)} candidates in {plan.rounds} shuffled rounds", plan.rounds) as advance:
        for this in plans.rounds(plan, tuple(probes), singles, batches, seed):
            for name in this.order:
                counted[name].turn(probes[name], this.singles, this.batches)
            advance()
    return counted
