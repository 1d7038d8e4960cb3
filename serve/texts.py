"""Texts as a service takes them: a string, a pair, or a list of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serve.refusal import Refusal
from serve.request import ALL_SCORES, Asked, read_object, require_count, require_json

if TYPE_CHECKING:
    from ftc.data import Example

KEY = "texts"
_PAIR = frozenset({"text", "text_pair"})


def read_texts(body: bytes, kind: str, max_items: int) -> Asked:
    """The texts that a body asks about.

    :param kind: the body's media type
    :raises Refusal: 4xx with the reason, and the place of the text that is wrong
    """
    require_json(kind)
    asked = read_object(body, KEY)
    texts = asked[KEY]
    if isinstance(texts, str | dict):
        texts = [texts]
    if not isinstance(texts, list):
        raise Refusal(400, f'"{KEY}" must be a text, a pair of texts, or a list of them')
    require_count(len(texts), max_items, "text")
    return Asked([_example(text, place) for place, text in enumerate(texts)], asked.get(ALL_SCORES, False))


def _example(text: object, place: int) -> Example:
    if isinstance(text, str):
        return _not_blank(text, place)
    if isinstance(text, dict) and text.keys() == _PAIR and all(isinstance(part, str) for part in text.values()):
        return _not_blank(text["text"], place), _not_blank(text["text_pair"], place)
    raise Refusal(
        400, f'{KEY}[{place}] must be a string, or an object with the keys "text" and "text_pair" and strings in both'
    )


def _not_blank(text: str, place: int) -> str:
    if not text or text.isspace():
        raise Refusal(400, f"{KEY}[{place}] is empty")
    return text
