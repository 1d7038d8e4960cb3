"""Which of two models answers a request."""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass

from ftc.errors import InputError

SESSION = b"x-ftc-session"
"""Request header: requests with the same value are answered by the same model."""

VARIANT = b"x-ftc-variant"
"""Header of an answer: the name of the model that gave it."""

_WEIGHTS = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Split:
    """:param share: of the requests, or of the sessions, that the second model answers; above 0 and below 1
    :param salt: what makes this split draw other sessions than the one before it: the second model's id
    """

    share: float
    salt: str

    def takes_second(self, session: bytes | None) -> bool:
        """Whether the second model answers: by chance, or by the hash of the session if the request names one.

        A session that it answers stays with it when the share grows.
        """
        if session is None:
            return random.random() < self.share
        digest = hashlib.blake2b(session, digest_size=8, key=self.salt.encode()[:64]).digest()
        return int.from_bytes(digest) < self.share * 2**64

    def session_for(self, *, second: bool) -> str:
        """The name of a session that this model answers."""
        return next(name for number in range(10**9) if self.takes_second((name := str(number)).encode()) == second)


def share_of(weights: str) -> float:
    """The second's share of weights such as `90:10`.

    :raises InputError: if these are no weights, or one of them is 0
    """
    match = _WEIGHTS.fullmatch(weights.strip())
    first, second = map(float, match.groups()) if match else (0.0, 0.0)
    if not (first > 0 and second > 0 and 1e-4 <= second / (first + second) <= 1 - 1e-4):
        raise InputError(
            f"--split {weights}: give the weights of ARTIFACT and of --ab with a colon between them, such as 90:10; "
            "each gets one request in ten thousand at least. Of a model that shall answer nothing: --shadow."
        )
    return second / (first + second)
