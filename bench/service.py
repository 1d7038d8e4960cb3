"""A running service under load, beside the bare session of the model inside it, in the same shuffled rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench import conditions, loads, plan, sampling, statistics
from bench.asking import Asked, Asking, Bare, Pace
from bench.loads import CHANCE, MANY, ONE, SESSION, Load, Overhead
from bench.options import Options, check_rate
from bench.remote import Worker
from bench.sampling import Probe
from ftc.console import progress
from ftc.errors import RunError
from ftc.manifest import DataRecord
from ftc.measurement import Machine, Turn

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Example

_WARM_S = 0.5
_SHORTEST_S = 0.05


@dataclass(frozen=True, slots=True)
class ServiceRun:
    """:param rows: of each request
    :param turns: raw times by the way of asking; those of one client and of the session are of the same rows in the
        same order
    :param follows_clients: whether requests by chance came at a share of what the clients had reached until then
    """

    url: str
    rows: int
    requests: int
    rounds: int
    loads: tuple[Load, ...]
    overhead: Overhead | None
    threads: int | None
    machine: Machine
    data: DataRecord | None
    seed: int
    follows_clients: bool
    turns: Mapping[str, tuple[Turn, ...]]


def measure(
    url: str,
    requests: Sequence[bytes],
    *,
    clients: int,
    options: Options,
    rate_per_s: float | None = None,
    rows: Sequence[Sequence[Example]] = (),
    artifact: Artifact | None = None,
    threads: int | None = None,
    data: DataRecord | None = None,
) -> ServiceRun:
    """Ask a service in each of three ways, and the bare session, by turns until the time budget ends.

    :param requests: whole HTTP requests (see `bench.clients.request`)
    :param clients: of the closed loop
    :param options: time budget, precision and seed
    :param rate_per_s: of requests that arrive by chance; None for 70 % of what the clients have reached so far
    :param rows: the examples of each request, for the session
    :param artifact: the model inside the service; None measures no session
    :param threads: of the session
    :raises InputError: if the fewest requests that arrive by chance do not come within the time budget
    :raises RunError: if the service answers nothing rightly before the first turn or in several in a row, or goes away
    """
    ways = 3 if artifact is None else 4
    if rate_per_s is not None:
        # ten rounds are half of those that turns are planned for: the other ways leave so much of the time
        check_rate(rate_per_s, plan.MIN_ROUNDS, options.time_budget_s, share=(ways + 1) / (2 * ways))
    machine = conditions.machine()
    try:
        with ExitStack() as stack:
            asked = Asked(url, requests, len(rows[0]) if rows else None, options.time_limit_s)
            turn_s = max(_SHORTEST_S, options.time_budget_s / (plan.PLANNED_ROUNDS * ways))
            with progress("warming up"):
                asked.checked(asked.closed(requests[:1], clients=1))
                once_s = 1 / _warmed(asked, 1, _WARM_S)
                first_per_s = _warmed(asked, clients, max(_WARM_S, turn_s))
            asking = {
                ONE: Asking(asked),
                MANY: Asking(asked, clients, seconds=turn_s),
                CHANCE: Asking(asked, by_chance=True),
            }
            pace = Pace(rate_per_s, first_per_s, asking[MANY], turn_s, options.seed)
            probes: dict[str, Probe] = dict(asking)
            around = None
            if artifact is not None:
                worker = stack.enter_context(Worker(artifact, threads or 1, "cpu", limit_s=options.time_limit_s))
                worker.open()
                around = worker.around([row for batch in rows for row in batch])
                places = iter(range(sum(map(len, rows))))
                batches = [[next(places) for _ in batch] for batch in rows]
                worker.prepare([row for batch in rows for row in batch], [batches])
                probes[SESSION] = Bare(worker)
            turns = _rounds(probes, len(requests), int(np.clip(turn_s / once_s, 1, plan.MOST_CALLS)), pace, options)
    except OSError as error:
        raise RunError(f"the service at {url} cannot be asked any more: {error}") from error
    found = [
        loads.load(ONE, turns[ONE], asking[ONE], clients=1),
        loads.load(f"{clients} {MANY}", turns[MANY], asking[MANY], clients=clients),
        loads.load(CHANCE, turns[CHANCE], asking[CHANCE], rate_per_s=float(np.median(pace.rates_per_s))),
    ]
    overhead = None
    if around is not None:
        times = [turn.calls_ns[0] for turn in turns[SESSION]]
        found.append(loads.summary(SESSION, times, 1, None, statistics.rows_per_second(times, 1), {}))
        overhead = loads.overhead(turns, around, options.seed)
    return ServiceRun(
        url=url,
        rows=max(map(len, rows), default=1),
        requests=len(requests),
        rounds=len(turns[ONE]),
        loads=tuple(found),
        overhead=overhead,
        threads=threads if artifact is not None else None,
        machine=machine,
        data=data,
        seed=options.seed,
        follows_clients=rate_per_s is None,
        turns={name: tuple(taken) for name, taken in turns.items()},
    )


def _warmed(asked: Asked, clients: int, seconds: float) -> float:
    """Requests in a second that clients reach, after some that do not count."""
    asked.closed(asked.requests, clients=clients, seconds=_WARM_S)
    return asked.checked(asked.closed(asked.requests, clients=clients, seconds=seconds)).per_second()


def _rounds(probes: Mapping[str, Probe], count: int, calls: int, pace: Pace, options: Options) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {name: [] for name in probes}

    def widest() -> float | None:
        ratio = loads.ratio(turns, options.seed)
        return ratio.precision if ratio is not None else None

    def fail(name: str, reason: str) -> None:
        raise RunError(f"{name}: {reason}")

    patience = plan.Patience(options.time_budget_s * 1e9, options.precision, widest)
    sampling.interleaved(
        probes,
        (count,),
        (calls,),
        first=0,
        seed=options.seed,
        is_over=patience.is_over,
        arrivals_ns=pace.arrivals_ns,
        keep=lambda name, turn: turns[name].append(turn),
        fail=fail,
    )
    return turns
