"""The directory that a service runs from and a Bento is built from: code, artifact, settings, no more."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import ftc
from ftc import golden
from ftc.artifact import Artifact, draft, open_artifact, seal
from ftc.console import progress
from serve.bundle import MODEL, SECOND, Bundle, Second, Settings, write_settings

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "cli", "demo")


def stage(artifact: Artifact, settings: Settings, directory: Path, second: Second | None = None) -> Bundle:
    """Fill an empty directory with the packages, the artifact, the second one if there is one, and `service.json`.

    A checkpoint becomes an artifact on the way: it gets a manifest, and golden examples answered by itself.

    :raises InputError: if a file of the artifact does not have the content its manifest names
    """
    for source in (Path(ftc.__file__).parent, Path(__file__).parent):
        shutil.copytree(source, directory / source.name, ignore=_LEFT_OUT)
    staged = _placed(artifact, settings, directory / MODEL)
    if second is not None:
        second = replace(second, artifact=_placed(second.artifact, settings, directory / SECOND))
    write_settings(settings, second, directory)
    return Bundle(staged, settings, second)


def _placed(artifact: Artifact, settings: Settings, target: Path) -> Artifact:
    if not artifact.manifest.files:
        return _sealed_checkpoint(artifact, settings, target)
    open_artifact(artifact.path, verify=True)
    shutil.copytree(artifact.path, target, copy_function=_link_or_copy)
    return open_artifact(target)


def _sealed_checkpoint(artifact: Artifact, settings: Settings, target: Path) -> Artifact:
    import numpy as np

    from ftc.runtimes.session import SessionOptions, open_session
    from ftc.tasks.task import open_task

    task, session = open_task(artifact), open_session(artifact, SessionOptions(settings.threads))
    examples = task.golden_examples()
    with progress("computing the golden examples' answers with the checkpoint"):
        output = artifact.manifest.output
        answers = np.concatenate([session.run(task.encode([example]))[output] for example in examples])
    with draft(target) as directory:
        shutil.copytree(artifact.path, directory, copy_function=_link_or_copy, dirs_exist_ok=True)
        golden.write(golden.Golden(tuple(examples), answers, answers), directory)
        return seal(directory, target, artifact.manifest)


def _link_or_copy(source: str, target: str) -> None:
    """Share the bytes of a file that nobody writes to; copy it where the disk is another one."""
    try:
        os.link(Path(source).resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
