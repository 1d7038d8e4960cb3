"""What every request to a service has in common, whatever it asks about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from serve.refusal import Refusal

if TYPE_CHECKING:
    from ftc.data import Example

ALL_SCORES = "all_scores"

FORM_TYPE = "multipart/form-data"

_JSON_TYPES = frozenset({"", "application/json", "text/json", "text/plain", "application/x-www-form-urlencoded"})


@dataclass(frozen=True, slots=True)
class Asked:
    """:param all_scores: whether the answers shall hold every label's score"""

    examples: Sequence[Example]
    all_scores: bool


def media_type(headers: Mapping[bytes, bytes]) -> str:
    """The body's type without its parameters, in lower case."""
    return headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


def require_json(kind: str, also: str = "") -> None:
    """Nothing but JSON is read, under the names that clients give it: curl calls everything a form.

    :raises Refusal: 415 for any other type, pickles among them
    """
    if kind not in _JSON_TYPES:
        raise Refusal(415, f"the body must be application/json{also}")


def read_object(body: bytes, key: str) -> dict[str, Any]:
    """The JSON object of a body, which has `key` and may have `all_scores`.

    :raises Refusal: 400 if it is none, has no such key, or others
    """
    if not body.strip():
        raise Refusal(400, f'the body is empty; it must be a JSON object with the key "{key}"')
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        if "recursion" in str(error):
            raise Refusal(400, "the JSON nests too deeply") from error
        raise Refusal(400, f"the body is no valid JSON: {error}") from error
    if not isinstance(value, dict) or key not in value:
        raise Refusal(400, f'the body must be a JSON object with the key "{key}"')
    if value.keys() - {key, ALL_SCORES}:
        raise Refusal(400, f'the only keys of the body are "{key}" and "{ALL_SCORES}"')
    if not isinstance(value.get(ALL_SCORES, False), bool):
        raise Refusal(400, f'"{ALL_SCORES}" must be true or false')
    return value


def require_count(count: int, most: int, what: str) -> None:
    """:raises Refusal: 400 for no items, 413 for more than `most`"""
    if count == 0:
        raise Refusal(400, f"at least one {what} is needed")
    if count > most:
        raise Refusal(413, f"{count} {what}s are more than the {most} that one request may have; send several requests")
