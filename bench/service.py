"""A running service under load, beside the bare session of the model inside it, in the same shuffled rounds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bench import conditions, plan, sampling, statistics
from bench.clients import Answers, Right, closed_loop, open_loop
from bench.intervals import Ratio, speed_ratio
from bench.options import Options
from bench.remote import Worker
from bench.sampling import Probe
from ftc.console import progress
from ftc.errors import RunError
from ftc.manifest import DataRecord
from ftc.measurement import Machine, Turn

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Example

ONE, MANY, CHANCE, SESSION = "one client", "clients", "by chance", "bare session"
"""Ways of asking: one after another; several clients, each one after another; when requests arrive by chance; and the
model without a service around it."""

USUAL_SHARE = 0.7
"""Of what clients reach in a closed loop: the rate of the requests that arrive by chance, unless it is given."""

_WARM_S = 0.5
_SHORTEST_S = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What one way of asking has found.

    :param clients: that ask at the same time; None where requests arrive by chance
    :param rate_per_s: requests in a second that arrive; None where clients wait for their answers
    :param per_second: requests answered rightly in a second
    :param samples: latencies that percentiles come from: right answers. By chance they are counted from the
        intended arrival
    :param p90_ns: None with too few samples to know it, as `p99_ns`
    :param errors: requests answered otherwise (by status, or not with one result for each row), or not at all
    :param statuses: how often each HTTP status came
    """

    name: str
    clients: int | None
    rate_per_s: float | None
    per_second: float
    samples: int
    p50_ns: float | None
    p90_ns: float | None
    p99_ns: float | None
    errors: int = 0
    statuses: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overhead:
    """What one request costs beyond the model itself, by pairs of the same rows in the same round.

    :param ratio: how many times the session's time the service takes; None with too few rounds
    :param p50_ns: median of the differences
    :param encode_p50_ns: of them, tokenizing or resizing, of a row alone
    :param decode_p50_ns: of them, from the outputs to a prediction
    """

    ratio: Ratio | None
    p50_ns: float
    encode_p50_ns: float
    decode_p50_ns: float


@dataclass(frozen=True, slots=True)
class ServiceRun:
    """:param rows: of each request
    :param turns: raw times by the way of asking; those of one client and of the session are of the same rows in the
        same order
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
    :param rate_per_s: of requests that arrive by chance; None for 70 % of what the clients reach
    :param rows: the examples of each request, for the session
    :param artifact: the model inside the service; None measures no session
    :param threads: of the session
    :raises RunError: if the service answers nothing of a whole turn rightly, or goes away
    """
    machine = conditions.machine()
    try:
        with ExitStack() as stack:
            asked = _Asked(url, requests, len(rows[0]) if rows else None, options.time_limit_s)
            with progress("warming up"):
                asked.closed(requests[:1], clients=1)
                once_s = 1 / _warmed(asked, 1)
                peak_per_s = _warmed(asked, clients)
            rate_per_s = rate_per_s or USUAL_SHARE * peak_per_s
            ways = 3 if artifact is None else 4
            turn_s = max(_SHORTEST_S, options.time_budget_s / (plan.PLANNED_ROUNDS * ways))
            asking = {
                ONE: _Asking(asked),
                MANY: _Asking(asked, clients, seconds=turn_s),
                CHANCE: _Asking(asked, by_chance=True),
            }
            probes: dict[str, Probe] = dict(asking)
            around = None
            if artifact is not None:
                worker = stack.enter_context(Worker(artifact, threads or 1, "cpu", limit_s=options.time_limit_s))
                worker.open()
                around = worker.around([row for batch in rows for row in batch])
                places = iter(range(sum(map(len, rows))))
                batches = [[next(places) for _ in batch] for batch in rows]
                worker.prepare([row for batch in rows for row in batch], [batches])
                probes[SESSION] = _Bare(worker)
            turns = _rounds(probes, len(requests), turn_s, once_s, rate_per_s, options)
    except OSError as error:
        raise RunError(f"the service at {url} cannot be asked any more: {error}") from error
    loads = [
        _load(ONE, turns, asking[ONE], clients=1),
        _load(f"{clients} {MANY}", {f"{clients} {MANY}": turns[MANY]}, asking[MANY], clients=clients),
        _load(CHANCE, turns, asking[CHANCE], rate_per_s=rate_per_s),
    ]
    overhead = None
    if around is not None:
        times = [turn.calls_ns[0] for turn in turns[SESSION]]
        loads.append(_summary(SESSION, times, 1, None, statistics.rows_per_second(times, 1), {}))
        overhead = _overhead(turns, around, options.seed)
    return ServiceRun(
        url=url,
        rows=max(map(len, rows), default=1),
        requests=len(requests),
        rounds=len(turns[ONE]),
        loads=tuple(loads),
        overhead=overhead,
        threads=threads if artifact is not None else None,
        machine=machine,
        data=data,
        seed=options.seed,
        turns={name: tuple(taken) for name, taken in turns.items()},
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A service, its requests, and what its answers must be.

    :param rows: results that each answer must hold; None believes the status alone
    :param answer_s: what each answer may take
    """

    url: str
    requests: Sequence[bytes]
    rows: int | None
    answer_s: float

    def closed(self, requests: Sequence[bytes], *, clients: int, seconds: float | None = None) -> Answers:
        """:raises RunError: if not one answer is right, as `open`"""
        return self._some(
            closed_loop(
                self.url, requests, clients=clients, seconds=seconds, right=self._right(), answer_s=self.answer_s
            )
        )

    def open(self, requests: Sequence[bytes], arrivals_ns: Sequence[int]) -> Answers:
        return self._some(open_loop(self.url, requests, arrivals_ns, right=self._right(), answer_s=self.answer_s))

    def _some(self, answers: Answers) -> Answers:
        if not answers.latencies_ns:
            raise RunError(
                f"{self.url}/predict answered none of {answers.errors} requests rightly; "
                f"what the last one got: {answers.last_error}"
            )
        return answers

    def _right(self) -> Right | None:
        return None if self.rows is None else self._holds_every_row

    def _holds_every_row(self, body: bytes) -> bool:
        try:
            results = json.loads(body)
        except (ValueError, RecursionError):
            return False
        return isinstance(results, list) and len(results) == self.rows


@dataclass(slots=True)
class _Asking:
    """A service that takes turns: requests in the order of the picks, one after another, by clients, or by chance."""

    asked: _Asked
    clients: int = 1
    seconds: float | None = None
    by_chance: bool = False
    answers: list[Answers] = field(default_factory=list)

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        picked = [self.asked.requests[pick] for pick in picks[0]]
        if self.by_chance:
            got = self.asked.open(picked, arrivals_ns or ())
        else:
            got = self.asked.closed(picked, clients=self.clients, seconds=self.seconds)
        self.answers.append(got)
        return [got.latencies_ns]


@dataclass(slots=True)
class _Bare:
    """The session, which runs its batches one after another whenever queries arrive."""

    worker: Worker

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        return self.worker.turn(picks)


def _warmed(asked: _Asked, clients: int) -> float:
    """Requests in a second that clients reach, after some that do not count."""
    asked.closed(asked.requests, clients=clients, seconds=_WARM_S)
    return asked.closed(asked.requests, clients=clients, seconds=_WARM_S).per_second()


def _rounds(
    probes: Mapping[str, Probe], count: int, turn_s: float, once_s: float, rate_per_s: float, options: Options
) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {name: [] for name in probes}
    calls = int(np.clip(turn_s / once_s, 1, plan.MOST_CALLS))
    queries = int(np.clip(rate_per_s * turn_s, 1, plan.MOST_CALLS))

    def widest() -> float | None:
        ratio = _ratio(turns, options.seed)
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
        arrivals_ns=lambda number: plan.poisson_ns(rate_per_s, queries, (options.seed, number, 2)),
        keep=lambda name, turn: turns[name].append(turn),
        fail=fail,
    )
    return turns


def _ratio(turns: Mapping[str, Sequence[Turn]], seed: int) -> Ratio | None:
    service, session = _paired(turns)
    return speed_ratio(service, session, seed)


def _paired(turns: Mapping[str, Sequence[Turn]]) -> tuple[dict[int, tuple[int, ...]], dict[int, tuple[int, ...]]]:
    """Rounds of one client and of the session; one that lacks an answer has no pairs."""
    service = {turn.round: turn.calls_ns[0] for turn in turns[ONE]}
    session = {turn.round: turn.calls_ns[0] for turn in turns.get(SESSION, ())}
    whole = [number for number in session if len(service.get(number, ())) == len(session[number])]
    return {number: service[number] for number in whole}, {number: session[number] for number in whole}


def _overhead(turns: Mapping[str, Sequence[Turn]], around: Mapping[str, Sequence[int]], seed: int) -> Overhead | None:
    service, session = _paired(turns)
    if not service:
        return None
    differences = [np.subtract(service[number], session[number]) for number in service]
    return Overhead(
        ratio=_ratio(turns, seed),
        p50_ns=float(np.median(np.concatenate(differences))),
        encode_p50_ns=float(np.median(around["encode_ns"])),
        decode_p50_ns=float(np.median(around["decode_ns"])),
    )


def _load(
    name: str,
    turns: Mapping[str, Sequence[Turn]],
    asking: _Asking,
    *,
    clients: int | None = None,
    rate_per_s: float | None = None,
) -> Load:
    statuses: Counter[int] = Counter()
    for answers in asking.answers:
        statuses.update(answers.statuses)
    per_second = float(np.median([answers.per_second() for answers in asking.answers]))
    errors = sum(answers.errors for answers in asking.answers)
    return _summary(name, [turn.calls_ns[0] for turn in turns[name]], clients, rate_per_s, per_second, statuses, errors)


def _summary(
    name: str,
    times: Sequence[Sequence[int]],
    clients: int | None,
    rate_per_s: float | None,
    per_second: float,
    statuses: Mapping[int, int],
    errors: int = 0,
) -> Load:
    samples = sum(map(len, times))
    known = {p: statistics.percentile_ns(times, p) if samples else None for p in (50, 90, 99)}
    return Load(name, clients, rate_per_s, per_second, samples, known[50], known[90], known[99], errors, dict(statuses))
