"""Services that could replace one another, under the same load by turns: how fast each is beside the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import plan, sampling
from bench.clients import closed_loop
from bench.intervals import ITSELF, Ratio, speed_ratio
from bench.remote import WorkerError
from ftc.errors import RunError
from ftc.measurement import Turn


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A service that takes turns under a closed loop: the mean time between its answers."""

    url: str
    requests: Sequence[bytes]
    clients: int
    seconds: float

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        picked = [self.requests[pick] for pick in picks[0]]
        try:
            answers = closed_loop(self.url, picked, clients=self.clients, seconds=self.seconds)
        except OSError as error:
            raise WorkerError(f"it cannot be asked any more: {error}") from error
        if not answers.latencies_ns or answers.errors:
            raise WorkerError(f"{answers.errors} requests were not answered")
        return [[round(1e9 / answers.per_second())]]


def side_by_side(
    urls: Mapping[str, str], requests: Mapping[str, Sequence[bytes]], *, clients: int, budget_s: float, seed: int = 0
) -> dict[str, Ratio | None]:
    """The speed of each service against the first, by answers in a second, in shuffled rounds.

    :param urls: services by name
    :param requests: whole HTTP requests for each of them, the same ones in the same order
    :param budget_s: what timing may take
    :return: None for one that failed
    :raises RunError: if the first one fails
    """
    first, count = next(iter(urls)), len(next(iter(requests.values())))
    turn_s = budget_s / (plan.MIN_ROUNDS * len(urls))
    turns: dict[str, dict[int, tuple[int, ...]]] = {name: {} for name in urls}
    failed: dict[str, str] = {}

    def keep(name: str, turn: Turn) -> None:
        turns[name][turn.round] = turn.calls_ns[0]

    probes = {name: _Loaded(url, requests[name], clients, turn_s) for name, url in urls.items()}
    for probe in probes.values():
        probe.turn([range(count)])
    patience = plan.Patience(budget_s * 1e9, None, lambda: None)
    sampling.interleaved(
        probes,
        (count,),
        (count,),
        first=0,
        seed=seed,
        is_over=patience.is_over,
        keep=keep,
        fail=failed.__setitem__,
    )
    if first in failed:
        raise RunError(f"the service under load: {failed[first]}")
    once = dict.fromkeys(turns[first], (0, 0))  # each service is one process, or one set of them
    return {
        name: None if name in failed else ITSELF if name == first else speed_ratio(turns[first], taken, seed, once)
        for name, taken in turns.items()
    }
