"""What one service needs on disk: the artifact in `model/` and how to run it in `service.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftc.artifact import Artifact, is_artifact, open_artifact
from ftc.errors import InputError
from ftc.runtimes.session import SessionOptions

MODEL = "model"
SETTINGS = "service.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a service runs its model.

    :param threads: threads inside one operator; None leaves it to the runtime: one for each of as many runs at once as
        there are cores, or every core for one run
    :param max_batch_size: rows of concurrent requests that are put through the model together; None for 8, or 1 where
        the other rows of a batch change a row's answer
    :param max_latency_ms: a request that has waited longer than this is refused with 503
    :param max_items: texts or images that one request may have
    :param max_queue: rows of all requests that may be inside at once; beyond them requests are refused with 503
    :param max_body_bytes: the largest body of a request, larger ones are refused with 413; None for 1 MiB of texts and
        16 MiB of images
    :param measured: the leaderboard's row for this artifact, if there is one
    """

    threads: int | None = None
    max_batch_size: int | None = None
    max_latency_ms: int = 60_000
    max_items: int = 256
    max_queue: int = 1024
    max_body_bytes: int | None = None
    measured: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("max-batch-size", self.max_batch_size, 1),
            ("max-latency-ms", self.max_latency_ms, 1),
            ("max-items", self.max_items, 1),
            ("max-queue", self.max_queue, self.max_items),  # the largest request must fit
            ("max-body-bytes", self.max_body_bytes, 1),
        ):
            if value is not None and value < least:
                raise InputError(f"--{name} must be at least {least}, got {value}.")
        SessionOptions(self.threads)  # refuses what no session takes


@dataclass(frozen=True, slots=True)
class Bundle:
    """An artifact with its settings, as a directory holds them."""

    artifact: Artifact
    settings: Settings


def form_of(measured: Mapping[str, Any] | None) -> str | None:
    """What the rows were that an artifact was measured on: text, pair or image; None where that is not known."""
    form: str | None = (measured or {}).get("conditions", {}).get("form")
    return form


def write_settings(settings: Settings, directory: Path) -> None:
    """Write `service.json`."""
    (directory / SETTINGS).write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


def read_bundle(directory: Path) -> Bundle:
    """Open the bundle in a directory; without a `service.json` the default settings hold.

    :raises InputError: if there is no artifact in it, or the settings cannot be read
    """
    model, file = directory / MODEL, directory / SETTINGS
    if not is_artifact(model):
        raise InputError(
            f"there is no artifact to serve in {model}. Let 'ftc package ARTIFACT' build the Bento, "
            f"or copy an artifact there: cp -r artifacts/NAME {model}"
        )
    if not file.is_file():
        return Bundle(open_artifact(model), Settings())
    try:
        return Bundle(open_artifact(model), Settings(**json.loads(file.read_text(encoding="utf-8"))))
    except (ValueError, TypeError) as error:
        raise InputError(f"{file} holds no settings of a service: {error}.") from error


def here() -> Bundle:
    """The bundle that this very copy of the package lies in: a Bento's `src/`, or a checkout."""
    return read_bundle(Path(__file__).resolve().parents[1])


def about(bundle: Bundle) -> dict[str, Any]:
    """What a service tells of itself: JSON values only."""
    manifest, settings = bundle.artifact.manifest, bundle.settings
    return {
        "name": manifest.name,
        "id": manifest.id,
        "task": manifest.task,
        "labels": list(manifest.labels),
        "format": manifest.format,
        "runtime": manifest.run.runtime,
        "lineage": [
            {"name": ancestor.name, "id": ancestor.id, "step": ancestor.step.name if ancestor.step else None}
            for ancestor in manifest.lineage
        ],
        "size_bytes": manifest.facts.size_bytes,
        **asdict(settings),
    }
