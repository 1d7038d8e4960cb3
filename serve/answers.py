"""What a service sends: JSON for every answer and every refusal."""

from __future__ import annotations

import json
from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from serve.refusal import Header, Refusal

if TYPE_CHECKING:
    from starlette.types import Send

    from ftc.tasks.classification import Prediction
    from ftc.tasks.encoding import Encoded

JSON = b"application/json"
JSON_HEADERS: list[Header] = [(b"content-type", JSON)]

_REPLACED = frozenset({b"content-type", b"content-length"})
_WORDS = {404: "there is nothing at this path; /docs.json says what there is", 405: "this path takes another method"}


def predictions_json(
    rows: Sequence[Encoded], predictions: Sequence[Prediction], *, is_text: bool, all_scores: bool
) -> bytes:
    """The body of an answer: a list with an object for each row, in their order."""
    answers = []
    for row, prediction in zip(rows, predictions, strict=True):
        answer: dict[str, Any] = {"label": prediction.label, "score": prediction.score}
        if is_text:
            answer["truncated"] = row.truncated
        if all_scores:
            answer["scores"] = prediction.scores
        answers.append(answer)
    return to_json(answers)


def to_json(value: Any) -> bytes:
    """Compact, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


async def send_refusal(send: Send, refusal: Refusal, more: Sequence[Header] = ()) -> None:
    """Answer with the reason.

    :param more: headers that the answer would have had
    """
    headers = [*JSON_HEADERS, *refusal.headers, *more]
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    await send_whole(send, refusal.status, to_json({"error": refusal.message}), headers)


async def send_whole(send: Send, status: int, content: bytes, more: Sequence[Header] = JSON_HEADERS) -> None:
    """Answer at once; the server leaves the content out where the request's method is HEAD."""
    headers = [(b"content-length", str(len(content)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def refusing_in_json(send: Send) -> Send:
    """What BentoML may send to: where it would refuse with a line of text or a page, the client gets JSON."""
    is_replaced = False

    async def told(message: MutableMapping[str, Any]) -> None:
        nonlocal is_replaced
        if message["type"] == "http.response.start" and message["status"] in _WORDS:
            is_replaced = True
            kept = [header for header in message["headers"] if header[0].lower() not in _REPLACED]
            await send_refusal(send, Refusal(message["status"], _WORDS[message["status"]], headers=kept))
        elif not is_replaced:
            await send(message)

    return told
