"""From results files to a report on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from bench.page import groups, render, told
from bench.page.groups import Found
from bench.page.view import Section
from ftc import whole_file
from ftc.errors import InputError
from ftc.results_file import read_results

Form = Literal["html", "markdown", "csv"]

SUFFIXES: dict[str, Form] = {".html": "html", ".htm": "html", ".md": "markdown", ".markdown": "markdown", ".csv": "csv"}

_OURS = (b'<meta name="generator" content="ftc report">', b"<!-- ftc report -->", b"group,run,started,complete,place,")
"""What a report has in its first lines."""


def find(paths: Sequence[Path], *, only_latest: bool = False) -> tuple[Found, ...]:
    """The runs of results files.

    :param only_latest: leave out runs under other conditions than those of the latest
    :raises InputError: if a file cannot be read or holds no run
    """
    found: list[Found] = []
    for path in dict.fromkeys(paths):
        runs = read_results(path)
        if not runs:
            raise InputError(f"{path} holds no runs. Measure first: ftc bench --data FILE")
        found += (Found(str(path), run) for run in runs)
    if only_latest:
        latest = max(found, key=lambda one: one.run.started)
        found = [one for one in found if not groups.differences(one.run, latest.run)]
    return tuple(found)


def report(found: Sequence[Found], form: Form, base: Path | None = None, more: Sequence[Section] = ()) -> str:
    """The document.

    :param found: at least one run, those of a file in its order
    :param base: the directory that commands in it are for; None is the current one
    :param more: sections of the latest run, besides those that its results make
    """
    if form == "csv":
        return render.table(found)
    documents: dict[Form, Callable[..., str]] = {"html": render.html, "markdown": render.markdown}
    return documents[form](told.page(found, base or Path.cwd(), more))


def check(target: Path) -> None:
    """:raises InputError: if something other than an earlier report stands at `target`"""
    if not os.path.lexists(target):
        return
    if target.is_file() and any(mark in _beginning(target) for mark in _OURS):
        return
    raise InputError(f"{target} exists and is no report of ftc: it is not replaced. Choose another name with -o.")


def write(document: str, target: Path) -> None:
    """Put the document at its place, an earlier report's included; it is there whole or not at all.

    :raises InputError: if something other than a report stands there
    :raises RunError: if it cannot be written
    """
    check(target)
    whole_file.write(document.encode(), target)


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(2048)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Choose another name with -o.") from error
