"""Who may ask: anybody, or those who know the key in `FTC_API_KEY`."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping

from ftc.errors import InputError
from serve.refusal import Refusal

VARIABLE = "FTC_API_KEY"
HEADER = "X-API-Key"

_BEARER = b"bearer "


def required_key() -> bytes | None:
    """The key that requests must carry; None if nobody asks for one.

    :raises InputError: if the variable is set to nothing, which would look protected and be open
    """
    key = os.environ.get(VARIABLE)
    if key is None:
        return None
    if not key.strip():
        raise InputError(f"{VARIABLE} is set, but empty: give it a key, or unset it to serve without one.")
    if not key.isprintable() or not key.isascii():
        raise InputError(f"{VARIABLE} holds letters that no header can carry: take printable ASCII.")
    return key.strip().encode()


def check(headers: Mapping[bytes, bytes], key: bytes | None) -> None:
    """:raises Refusal: 401 if a key is required and the request does not carry it

    The comparison takes the same time wherever the first difference is.
    """
    if key is None:
        return
    given = headers.get(HEADER.lower().encode())
    if given is None:
        authorization = headers.get(b"authorization", b"")
        given = authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else b""
    if not hmac.compare_digest(given, key):
        raise Refusal(
            401,
            f"a valid key is needed in the header {HEADER}, or as Authorization: Bearer",
            headers=((b"www-authenticate", b"Bearer"),),
        )
