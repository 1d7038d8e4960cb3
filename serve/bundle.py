"""What one service needs on disk: the artifact in `model/`, a second one beside it, and `service.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ftc.artifact import Artifact, is_artifact, open_artifact
from ftc.errors import InputError
from ftc.runtimes.session import SessionOptions

MODEL = "model"
SECOND = "second"
SETTINGS = "service.json"

Role = Literal["ab", "shadow"]
"""What a second model does: answer its share of the requests, or answer copies of them that nobody gets to see."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a service runs its model.

    :param threads: threads inside one operator; None leaves it to the runtime: one for each of as many runs at once as
        there are cores, or every core for one run
    :param max_batch_size: rows of concurrent requests that are put through the model together; None for 8, or 1 where
        the other rows of a batch change a row's answer
    :param workers: processes, each with the model and a queue of its own, which share the cores; None for one
    :param batch_wait_ms: how long a row waits for others that could go with it, if the model is idle; None: not at all
    :param max_latency_ms: a request that has waited longer than this is refused with 503
    :param max_items: texts or images that one request may have
    :param max_queue: rows of all requests that may be inside at once; beyond them requests are refused with 503
    :param max_body_bytes: the largest body of a request, larger ones are refused with 413; None for 1 MiB of texts and
        16 MiB of images
    :param measured: the leaderboard's row for this artifact, if there is one
    :param tuned: what a measurement at packaging time has found, see `serve.tune`
    """

    threads: int | None = None
    max_batch_size: int | None = None
    workers: int | None = None
    batch_wait_ms: float | None = None
    max_latency_ms: int = 60_000
    max_items: int = 256
    max_queue: int = 1024
    max_body_bytes: int | None = None
    measured: Mapping[str, Any] | None = None
    tuned: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("max-batch-size", self.max_batch_size, 1),
            ("workers", self.workers, 1),
            ("batch-wait-ms", self.batch_wait_ms, 0),
            ("max-latency-ms", self.max_latency_ms, 1),
            ("max-items", self.max_items, 1),
            ("max-queue", self.max_queue, self.max_items),  # the largest request must fit
            ("max-body-bytes", self.max_body_bytes, 1),
        ):
            if value is not None and value < least:
                raise InputError(f"--{name} must be at least {least}, got {value}.")
        SessionOptions(self.threads)  # refuses what no session takes

    def on(self, cores: int) -> Settings:
        """The settings on a machine of so many cores: what was measured on one with another number does not hold."""
        if self.tuned is None or self.tuned["cores"] == cores:
            return self
        return replace(self, **{name: getattr(_DEFAULT, name) for name in self.tuned["chosen"]})


_DEFAULT = Settings()


@dataclass(frozen=True, slots=True)
class Second:
    """Another model of the same service, for the same task and labels.

    :param share: of the requests that it answers, above 0 and below 1; 0 for a shadow
    :param measured: the leaderboard's row for it, if there is one
    """

    artifact: Artifact
    role: Role
    share: float = 0.0
    measured: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """An artifact with its settings, as a directory holds them, and the second model if there is one."""

    artifact: Artifact
    settings: Settings
    second: Second | None = None

    def on(self, cores: int) -> Bundle:
        """The bundle on a machine of so many cores."""
        return replace(self, settings=self.settings.on(cores))

    @property
    def names(self) -> tuple[str, str]:
        """What headers, metrics and the log call the two models; their ids are added where the names are the same."""
        ours = self.artifact.manifest
        theirs = self.second.artifact.manifest if self.second is not None else ours
        if self.second is not None and ours.name == theirs.name:
            return f"{ours.name}-{ours.id[:8]}", f"{theirs.name}-{theirs.id[:8]}"
        return ours.name, theirs.name

    def of_second(self) -> Bundle:
        """The second model by itself, with the same settings."""
        assert self.second is not None, "asked for where there is one"
        return Bundle(self.second.artifact, replace(self.settings, measured=self.second.measured))


def require_alike(artifact: Artifact, second: Artifact) -> None:
    """:raises InputError: if two models cannot answer the same requests, or are the same"""
    ours, theirs = artifact.manifest, second.manifest
    for what, one, other in (("task", ours.task, theirs.task), ("list of labels", ours.labels, theirs.labels)):
        if one != other:
            shown = [value if isinstance(value, str) else ", ".join(value) for value in (one, other)]
            raise InputError(
                f"{ours.name} and {theirs.name} cannot share a service, which has one {what} for both: "
                f"{shown[0]} and {shown[1]} differ."
            )
    if ours.id == theirs.id:
        raise InputError(f"{artifact.path} and {second.path} are the same artifact (id {ours.id}); choose another.")


def form_of(measured: Mapping[str, Any] | None) -> str | None:
    """What the rows were that an artifact was measured on: text, pair or image; None where that is not known."""
    form: str | None = (measured or {}).get("conditions", {}).get("form")
    return form


def write_settings(settings: Settings, second: Second | None, directory: Path) -> None:
    """Write `service.json`."""
    values = asdict(settings)
    if second is not None:
        values[SECOND] = {"role": second.role, "share": second.share, "measured": second.measured}
    (directory / SETTINGS).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


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
        values = json.loads(file.read_text(encoding="utf-8"))
        told = values.pop(SECOND, None)
        second = Second(open_artifact(directory / SECOND), **told) if told is not None else None
        return Bundle(open_artifact(model), Settings(**values), second)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file} holds no settings of a service: {error}.") from error


def here() -> Bundle:
    """The bundle that this very copy of the package lies in: a Bento's `src/`, or a checkout."""
    return read_bundle(Path(__file__).resolve().parents[1])
