"""Threads, workers, batch size and waiting time, from a short measurement of the service itself on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ftc import golden
from ftc.artifact import Artifact
from ftc.console import progress, say
from ftc.data import Example
from ftc.quiet import quiet_libraries
from ftc.runtimes import RUNTIMES
from ftc.runtimes.session import available_cores
from serve.bundle import Bundle, Second, Settings
from serve.context import stage
from serve.model import Model
from serve.replay import request_body
from serve.server import free_port, running
from serve.variant import MAX_BATCH_SIZE

CLIENTS = 32
"""That ask at the same time, one row in each request."""

WORTH = 1.05
"""How many times as fast other settings must be than the usual ones, beyond what chance may do, to replace them."""

MOST_WORKERS = 2
"""Each holds a model of its own."""

STAGES = 2
"""Of a measurement, at most."""

WAIT_MS = 2.0
"""That is tried; a tenth of it is what a small model takes for a row."""


class Speed(Protocol):
    """How many times as fast as the first of the services one is, with an interval."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


Compare = Callable[[Mapping[str, str], Sequence[Mapping[str, Any]], int], Mapping[str, Speed | None]]
"""Services by name, the bodies to ask them, and the number of clients: the speed of each against the first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings that are tried; None and 0 are the usual ones of `Settings`."""

    threads: int | None = None
    workers: int | None = None
    max_batch_size: int | None = None
    batch_wait_ms: float | None = None

    def __str__(self) -> str:
        told = [f"{name.replace('_', ' ')} {value}" for name, value in asdict(self).items() if value]
        return ", ".join(told) or "the usual settings"


def tune(artifact: Artifact, settings: Settings, compare: Compare, second: Second | None = None) -> Settings:
    """The settings with those that were not given chosen by measurement, and what was measured.

    The services of all choices run side by side, idle but for the one that is asked. First threads and workers, then,
    where rows may go together without changing each other's answers, batch size and waiting time.

    :param settings: what was given stays as it is
    :param second: the other model of the service
    :raises RunError: if the service does not start or does not answer
    """
    given = {name for name in asdict(Choice()) if getattr(settings, name) != getattr(Settings(), name)}
    tried: list[dict[str, Any]] = []
    best = Choice()
    with tempfile.TemporaryDirectory(prefix="ftc-tune-") as scratch:
        place = Path(scratch) / "model"
        place.mkdir()
        staged = stage(artifact, settings, place, second)
        stages = [_shapes(artifact, given)]
        if not {"max_batch_size", "batch_wait_ms"} & given and _independent(staged):
            stages.append([replace(Choice(), **batch) for batch in _BATCHES])
        examples = golden.read(staged.artifact.path).examples
        stages = [choices for choices in stages if choices]
        for number, choices in enumerate(stages):
            # what a stage changes is tried with what the one before it has chosen
            ways = [best, *(replace(best, **_changed(choice)) for choice in choices)]
            with progress(f"measuring {len(ways)} ways to run the service ({number + 1} of {len(stages)})"):
                speeds = _measured(artifact, settings, second, ways, examples, compare, Path(scratch) / str(number))
            tried += [
                {
                    "stage": number + 1,
                    **asdict(way),
                    "speed": None if speed is None else [speed.value, speed.low, speed.high],
                }
                for way, speed in zip(ways, speeds, strict=True)
            ]
            worth = [
                (speed.value, way)
                for way, speed in zip(ways[1:], speeds[1:], strict=True)
                if speed is not None and speed.low > 1.0 and speed.value >= WORTH
            ]
            best = max(worth, key=lambda pair: pair[0])[1] if worth else best
    if not tried:
        return settings
    chosen = _changed(best)
    say(f"settings: {best}, of {len(tried)} that were measured with {CLIENTS} clients on {available_cores()} cores")
    return replace(
        settings,
        **chosen,
        tuned={"cores": available_cores(), "clients": CLIENTS, "chosen": chosen, "measured": tried},
    )


_BATCHES: tuple[dict[str, Any], ...] = (
    {"max_batch_size": 1},
    {"max_batch_size": 2 * MAX_BATCH_SIZE},
    {"batch_wait_ms": WAIT_MS},
)


def _independent(bundle: Bundle) -> bool:
    with quiet_libraries():
        return Model.open(bundle).rows_are_independent()


def _changed(choice: Choice) -> dict[str, Any]:
    return {name: value for name, value in asdict(choice).items() if value != getattr(Choice(), name)}


def _shapes(artifact: Artifact, given: set[str]) -> list[Choice]:
    """Other ways to share the cores: more threads for each run, or more processes."""
    cores, shapes = available_cores(), list[Choice]()
    if cores > 1 and "threads" not in given and RUNTIMES.load(artifact.manifest.run.runtime).concurrent:
        shapes.append(Choice(threads=cores))
    if cores >= MOST_WORKERS and "workers" not in given:
        shapes.append(Choice(workers=MOST_WORKERS))
    return shapes


def _measured(
    artifact: Artifact,
    settings: Settings,
    second: Second | None,
    ways: Sequence[Choice],
    examples: Sequence[Example],
    compare: Compare,
    place: Path,
) -> list[Speed | None]:
    with ExitStack() as stack:
        servers = []
        for number, way in enumerate(ways):
            directory = place / str(number)
            directory.mkdir(parents=True)
            stage(artifact, replace(settings, **_changed(way)), directory, second)
            log = stack.enter_context((directory / "log").open("wb"))
            port = free_port()
            started = running("serve.service:FtcService", directory, "127.0.0.1", port, log, home=directory, quiet=True)
            servers.append(stack.enter_context(started))
        for server in servers:
            server.wait_until_ready()
        urls = {str(number): server.url for number, server in enumerate(servers)}
        speeds = compare(urls, [request_body(example) for example in examples], CLIENTS)
        return [speeds[name] for name in urls]
