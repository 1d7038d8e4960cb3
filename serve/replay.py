"""Golden examples sent to a running service, one by one, and the answers compared with the artifact's own."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc import golden
from ftc.errors import RunError
from ftc.tasks.task import open_task
from serve.model import first_difference
from serve.request import ALL_SCORES
from serve.shadow_process import ShadowError, ShadowProcess
from serve.split import SESSION, Split

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Example
    from serve.bundle import Bundle
    from serve.server import Server

TOLERANCE = 1e-5
"""Largest difference of a score (0-1): same processor, same libraries, same batch of one."""


Scores = dict[str, float]

_PAIR = ("text", "text_pair")


def replay_all(bundle: Bundle, server: Server, code: Path) -> int:
    """Replay the golden examples of every model of a service; their number.

    :param bundle: what the server serves
    :param code: the directory with the packages that it runs, for a shadow beside it
    :raises RunError: at the first answer that differs
    """
    second = bundle.second
    if second is None:
        return replay(bundle.artifact, asked_of(server))
    if second.role == "ab":
        split = Split(second.share, second.artifact.manifest.id)
        to_first, to_second = split.session_for(second=False), split.session_for(second=True)
        return replay(bundle.artifact, asked_of(server, to_first)) + replay(
            second.artifact, asked_of(server, to_second)
        )
    shadow = ShadowProcess.start(bundle.of_second(), code)
    try:

        def ask(body: dict[str, Any]) -> Scores:
            return shadow.ask(json.dumps(body).encode(), b"application/json")[0].scores

        return replay(bundle.artifact, asked_of(server)) + replay(second.artifact, ask)
    except ShadowError as error:
        raise RunError(f"the shadow failed: {error}") from error
    finally:
        shadow.end()


def asked_of(server: Server, session: str | None = None) -> Callable[[dict[str, Any]], Scores]:
    """What sends a body to a server and returns the scores of the one answer.

    :param session: what to name as the session
    """
    headers = {SESSION.decode(): session} if session is not None else {}

    def ask(body: dict[str, Any]) -> Scores:
        (answer,) = server.post("/predict", body, headers)
        scores: Scores = answer["scores"]
        return scores

    return ask


def replay(artifact: Artifact, ask: Callable[[dict[str, Any]], Scores]) -> int:
    """Send every golden example in a request of its own; the number of examples.

    :raises RunError: at the first answer that differs
    """
    kept = golden.read(artifact.path)
    expected = open_task(artifact).decode({artifact.manifest.output: kept.expected})
    for number, (example, wanted) in enumerate(zip(kept.examples, expected, strict=True)):
        difference = first_difference(ask(request_body(example) | {ALL_SCORES: True}), wanted.scores, TOLERANCE)
        if difference is not None:
            raise RunError(
                f"the service answers golden example {number} of {artifact.manifest.name} differently: {difference}"
            )
    return len(kept.examples)


def request_body(*examples: Example) -> dict[str, Any]:
    """The JSON that asks for some examples."""
    if not isinstance(examples[0], str | tuple):
        return {"images": [_base64(example) for example in examples]}
    return {"texts": [text if isinstance(text, str) else dict(zip(_PAIR, text, strict=True)) for text in examples]}


def _base64(image: Any) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")  # lossless
    return base64.b64encode(file.getvalue()).decode()
