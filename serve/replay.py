"""Golden examples sent to a running service, one by one, and the answers compared with the artifact's own."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from ftc import golden
from ftc.errors import RunError
from ftc.tasks.task import open_task
from serve.model import first_difference

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Example
    from serve.server import Server

TOLERANCE = 1e-5
"""Largest difference of a score (0-1): same processor, same libraries, same batch of one."""


def replay(artifact: Artifact, server: Server) -> int:
    """Send every golden example in a request of its own; the number of examples.

    :raises RunError: at the first answer that differs
    """
    kept = golden.read(artifact.path)
    expected = open_task(artifact).decode({artifact.manifest.output: kept.expected})
    for number, (example, wanted) in enumerate(zip(kept.examples, expected, strict=True)):
        (answer,) = server.post("/predict", request_body(example))
        difference = first_difference(answer["scores"], wanted.scores, TOLERANCE)
        if difference is not None:
            raise RunError(f"the service answers golden example {number} differently: {difference}")
    return len(kept.examples)


def request_body(example: Example) -> dict[str, Any]:
    """The JSON that asks for one example and every score."""
    if isinstance(example, str):
        return {"texts": [example], "all_scores": True}
    if isinstance(example, tuple):
        return {"texts": [{"text": example[0], "text_pair": example[1]}], "all_scores": True}
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(example).save(file, "PNG")  # lossless
    return {"images": [base64.b64encode(file.getvalue()).decode()], "all_scores": True}
