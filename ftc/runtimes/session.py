"""What every runtime offers: open an artifact, run named tensors through it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from ftc.errors import InputError
from ftc.runtimes.variant import Variant

if TYPE_CHECKING:
    import numpy as np

    from ftc.artifact import Artifact

    Tensors = Mapping[str, np.ndarray]


MOST_THREADS = 1024
"""More than any processor has cores for; runtimes fail on absurd numbers in ways of their own."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How an artifact is to be executed.

    :param threads: threads inside one operator; None takes every core this process may use
    :param device: ``"cpu"``, or what a runtime lists in `devices`
    :param variant: in which precision and by what, where the runtime leaves a choice; None for its plain one
    """

    threads: int | None = None
    device: str = "cpu"
    variant: Variant | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise InputError(f"threads must be from 1 to {MOST_THREADS}, got {self.threads}.")

    def thread_count(self) -> int:
        """The number of threads to use, at least 1."""
        return self.threads or available_cores()


class Session(Protocol):
    """An opened model. Implementations are the classes named in `RUNTIMES`.

    `run` takes the tensors of the manifest's `inputs` (batch first) and returns those of its `outputs`.
    `conditions` names what was really used: threads, providers, graph options. `settings` are the keys that a
    manifest may set: what a file from elsewhere asks for beyond them, such as a place for a cache, is refused.
    `concurrent` says that calls of `run` from several threads go side by side; elsewhere they wait for each other.
    """

    formats: ClassVar[frozenset[str]]
    settings: ClassVar[frozenset[str]]
    concurrent: ClassVar[bool]
    devices: ClassVar[frozenset[str]]

    @classmethod
    def open(cls, artifact: Artifact, options: SessionOptions) -> Self:
        """:raises InputError: if this runtime cannot open the artifact's format or the device"""
        ...

    def run(self, inputs: Tensors) -> dict[str, np.ndarray]: ...

    def conditions(self) -> dict[str, str]: ...


def available_cores() -> int:
    """Cores that this process may run on (its affinity mask, not the machine's count)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_session(artifact: Artifact, options: SessionOptions | None = None, runtime: str | None = None) -> Session:
    """Open an artifact with the runtime that its manifest names, or with another one that takes its format.

    :raises InputError: if the runtime does not open this format or device, or does not know a setting
    """
    from ftc.runtimes import GPU_RUNTIMES, RUNTIMES

    options = options or SessionOptions()
    name = runtime or artifact.manifest.run.runtime
    on_gpu = options.device == "cuda" and name in GPU_RUNTIMES
    implementation: type[Session] = (GPU_RUNTIMES if on_gpu else RUNTIMES).load(name)
    if artifact.manifest.format not in implementation.formats:
        raise InputError(
            f"runtime {name!r} opens {', '.join(sorted(implementation.formats))}; "
            f"{artifact.path} is {artifact.manifest.format}. Export it first: ftc export {artifact.path}"
        )
    if options.device not in implementation.devices:
        raise InputError(
            f"runtime {name!r} runs on {', '.join(sorted(implementation.devices))}, not on {options.device!r}."
        )
    unknown = set(artifact.manifest.run.session_config) - implementation.settings
    if unknown and not artifact.manifest.is_foreign:
        raise InputError(
            f"{artifact.path}: its manifest sets {', '.join(sorted(unknown))} for {name}, which ftc does not pass on "
            f"(known: {', '.join(sorted(implementation.settings)) or 'none'}). Make the artifact again."
        )
    if artifact.manifest.is_foreign:
        if on_gpu:
            raise InputError(
                f"{artifact.path}: model files of other programs run on the CPU alone; leave --device out."
            )
        from ftc.runtimes.adapted import Adapted

        return Adapted.open(artifact, options)
    return implementation.open(artifact, options)
