"""A request to a service as a person would type it."""

from __future__ import annotations

import json

EXAMPLE_TEXT = "a charming and often affecting journey"


def curl(task: str, url: str) -> str:
    """A curl command that asks a service at `url` for one answer."""
    from ftc.tasks import TASKS

    if TASKS.load(task).modality == "image":
        return f"curl -s {url}/predict -F images=@photo.jpg"
    body = json.dumps({"texts": [EXAMPLE_TEXT]})
    return f"curl -s {url}/predict -H 'Content-Type: application/json' -d '{body}'"
