"""What each way of asking a service has found, and what the service costs beyond its model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench import statistics
from bench.asking import Asking
from bench.intervals import Ratio, speed_ratio
from ftc.measurement import Turn

ONE, MANY, CHANCE, SESSION = "one client", "clients", "by chance", "bare session"
"""Ways of asking: one after another; several clients, each one after another; when requests arrive by chance; and the
model without a service around it."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one way of asking has found.

    :param clients: that ask at the same time; None where requests arrive by chance
    :param rate_per_s: requests in a second that arrive, the median of the rounds; None where clients wait for their
        answers
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


def ratio(turns: Mapping[str, Sequence[Turn]], seed: int) -> Ratio | None:
    service, session = _paired(turns)
    once = dict.fromkeys(service, (0, 0))  # neither has another process in the run
    return speed_ratio(service, session, seed, once)


def _paired(turns: Mapping[str, Sequence[Turn]]) -> tuple[dict[int, tuple[int, ...]], dict[int, tuple[int, ...]]]:
    """Rounds of one client and of the session; one that lacks an answer has no pairs."""
    service = {turn.round: turn.calls_ns[0] for turn in turns[ONE]}
    session = {turn.round: turn.calls_ns[0] for turn in turns.get(SESSION, ())}
    whole = [number for number in session if len(service.get(number, ())) == len(session[number])]
    return {number: service[number] for number in whole}, {number: session[number] for number in whole}


def overhead(turns: Mapping[str, Sequence[Turn]], around: Mapping[str, Sequence[int]], seed: int) -> Overhead | None:
    service, session = _paired(turns)
    if not service:
        return None
    differences = [np.subtract(service[number], session[number]) for number in service]
    return Overhead(
        ratio=ratio(turns, seed),
        p50_ns=float(np.median(np.concatenate(differences))),
        encode_p50_ns=float(np.median(around["encode_ns"])),
        decode_p50_ns=float(np.median(around["decode_ns"])),
    )


def load(
    name: str,
    turns: Sequence[Turn],
    asking: Asking,
    *,
    clients: int | None = None,
    rate_per_s: float | None = None,
) -> Load:
    statuses: Counter[int] = Counter()
    for answers in asking.answers:
        statuses.update(answers.statuses)
    per_second = float(np.median([answers.per_second() for answers in asking.answers]))
    errors = sum(answers.errors for answers in asking.answers)
    return summary(name, [turn.calls_ns[0] for turn in turns], clients, rate_per_s, per_second, statuses, errors)


def summary(
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
