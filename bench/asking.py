"""Ways of asking a service that take turns with one another, and with the model alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench import plan
from bench.clients import closed_loop, open_loop
from bench.drive import Answers, Right
from bench.remote import Worker
from ftc.errors import RunError

USUAL_SHARE = 0.7
"""Of what clients reach in a closed loop: the rate of the requests that arrive by chance, unless it is given."""

MOST_IN_VAIN = 3
"""Turns in a row without one right answer that end a run. One alone does not: it may hold a single request, and a 503
is an error like any other."""


@dataclass(slots=True)
class Asked:
    """A service, its requests, and what its answers must be.

    :param rows: results that each answer must hold; None believes the status alone
    :param answer_s: what each answer may take
    :param in_vain: how many times in a row it was asked without one right answer
    """

    url: str
    requests: Sequence[bytes]
    rows: int | None
    answer_s: float
    in_vain: int = 0

    def closed(self, requests: Sequence[bytes], *, clients: int, seconds: float | None = None) -> Answers:
        """See `bench.clients.closed_loop`."""
        return closed_loop(
            self.url, requests, clients=clients, seconds=seconds, right=self._right(), answer_s=self.answer_s
        )

    def open(self, requests: Sequence[bytes], arrivals_ns: Sequence[int]) -> Answers:
        """See `bench.clients.open_loop`."""
        return open_loop(self.url, requests, arrivals_ns, right=self._right(), answer_s=self.answer_s)

    def checked(self, answers: Answers, most_in_vain: int = 1) -> Answers:
        """The answers.

        :raises RunError: if so many times in a row not one was right
        """
        self.in_vain = 0 if answers.latencies_ns else self.in_vain + 1
        if self.in_vain >= most_in_vain:
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
class Asking:
    """A service that takes turns: requests in the order of the picks, one after another, by clients, or by chance."""

    asked: Asked
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
        self.answers.append(self.asked.checked(got, MOST_IN_VAIN))
        return [got.latencies_ns]


@dataclass(slots=True)
class Bare:
    """The session, which runs its batches one after another whenever queries arrive."""

    worker: Worker

    def turn(self, picks: Sequence[Sequence[int]], arrivals_ns: Sequence[int] | None = None) -> list[list[int]]:
        return self.worker.turn(picks)


@dataclass(slots=True)
class Pace:
    """The rate at which requests arrive by chance: what was given, or a share of what the clients have reached so far.

    The clients take their turns in the same rounds, so the rate follows a machine that becomes faster or slower.

    :param first_per_s: what the clients have reached before the first round
    :param rates_per_s: of the rounds so far
    """

    given_per_s: float | None
    first_per_s: float
    clients: Asking
    turn_s: float
    seed: int
    rates_per_s: list[float] = field(default_factory=list)

    def arrivals_ns(self, number: int) -> list[int]:
        """When the queries of a round arrive."""
        rates = [answers.per_second() for answers in self.clients.answers if answers.latencies_ns]
        reached = rates or [self.first_per_s]
        usual_per_s = USUAL_SHARE * float(np.median(reached))
        rate_per_s = usual_per_s if self.given_per_s is None else self.given_per_s
        self.rates_per_s.append(rate_per_s)
        queries = int(np.clip(rate_per_s * self.turn_s, 1, plan.MOST_CALLS))
        return plan.poisson_ns(rate_per_s, queries, (self.seed, number, 2))
