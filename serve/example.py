"""A request to a service as a person would type it."""

from __future__ import annotations

import json

from serve import access

EXAMPLE_TEXT = "a charming and often affecting journey"
EXAMPLE_PAIR = {"text": "A man is playing a guitar.", "text_pair": "Somebody is making music."}
EXAMPLE_IMAGE = (  # a PNG of 8 x 8 pixels
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAGUlEQVR42mNkYGhQYGDARCwMCgxYweCUAABobwJednxjlwAAAABJRU5ErkJggg=="
)


def curl(task: str, url: str, form: str | None = None, *, needs_key: bool = False) -> str:
    """A curl command that asks a service at `url` for one answer.

    :param form: what the model is known to be asked with, `"pair"` for pairs of texts
    :param needs_key: whether the request must carry the key, which the command takes from the environment
    """
    from ftc.tasks import TASKS

    key = f' -H "{access.HEADER}: ${access.VARIABLE}"' if needs_key else ""
    if TASKS.load(task).modality == "image":
        return f"curl -s {url}/predict{key} -F images=@photo.jpg"
    body = json.dumps({"texts": [EXAMPLE_PAIR if form == "pair" else EXAMPLE_TEXT]})
    return f"curl -s {url}/predict{key} -H 'Content-Type: application/json' -d '{body}'"
