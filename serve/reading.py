"""From the body of a request to rows for a model, whatever the body's type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ftc.errors import InputError
from serve.refusal import Refusal
from serve.request import FORM_TYPE, Asked, media_type

if TYPE_CHECKING:
    from ftc.tasks.encoding import Encoded
    from ftc.tasks.task import Task


def is_form(is_text: bool, headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body is a form of uploaded files, which `serve.images.read_form` reads."""
    return not is_text and media_type(headers) == FORM_TYPE


def read(is_text: bool, raw: bytes, headers: Mapping[bytes, bytes], max_items: int) -> Asked:
    """What a body of JSON asks about.

    :raises Refusal: 4xx with the reason
    """
    kind = media_type(headers)
    if not is_text:
        from serve.images import read_base64

        return read_files(*read_base64(raw, kind, max_items), max_items)
    from serve.texts import read_texts

    return read_texts(raw, kind, max_items)


def read_files(files: Sequence[bytes], all_scores: bool, max_items: int) -> Asked:
    """The same for the files of a form."""
    from serve.images import decoded

    return decoded(files, all_scores, max_items)


def encoded(task: Task, asked: Asked) -> list[Encoded]:
    """The rows of a request, as one model takes them.

    :raises Refusal: 400 if one cannot be encoded
    """
    try:
        return task.encode_each(asked.examples)
    except InputError as error:
        raise Refusal(400, str(error)) from error
