"""What a service says to a request that it does not answer."""

from __future__ import annotations

from collections.abc import Sequence

Header = tuple[bytes, bytes]


class Refusal(Exception):
    """A request that gets no answer, and why.

    :param status: the HTTP status, 4xx for what the client did, 503 for what it may try again
    :param message: our own words, nothing of what the client sent
    :param retry_after_s: for 503, when it is worth trying again
    :param headers: that the answer needs besides
    """

    def __init__(
        self, status: int, message: str, retry_after_s: int | None = None, headers: Sequence[Header] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s
        self.headers = tuple(headers)
