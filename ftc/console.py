"""What a person sees besides the result: progress, remarks and cautions, all on stderr."""

from __future__ import annotations

import os
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Verbosity:
    """How much goes to stderr; set once by the command line's `--quiet` and `-v`."""

    quiet: bool = False
    libraries: bool = False


verbosity = Verbosity()


def is_first() -> bool:
    """Whether this is the process that writes and tells, of several that train together; the only one, if alone."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def hushed() -> Iterator[None]:
    """No remarks and no progress of what is done meanwhile, of which the caller tells in its own words."""
    before = verbosity.quiet
    verbosity.quiet = True
    try:
        yield
    finally:
        verbosity.quiet = before


@contextmanager
def every(seconds: float, remind: Callable[[], None]) -> Iterator[None]:
    """Call again and again, from a thread, until what is done meanwhile is over."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(seconds):
            remind()

    watcher = threading.Thread(target=watch, daemon=True)
    try:
        watcher.start()
        yield
    finally:
        over.set()
        watcher.join()


class Advance(Protocol):
    """Moves a progress bar on."""

    def __call__(self, by: int = 1) -> None: ...


def plain(text: str) -> str:
    """A text with its control characters spelled out: names and labels from files must not steer a terminal."""
    return "".join(
        letter.encode("unicode_escape").decode("ascii")
        if unicodedata.category(letter).startswith("C") and letter != "\n"
        else letter
        for letter in text
    )


def counted(number: float, what: str) -> str:
    """A number with its noun."""
    return f"{number:.9g} {what}{'' if number == 1 else 's'}"


def say(message: str) -> None:
    """A remark on what is being done, such as which columns were taken."""
    if not verbosity.quiet:
        print(plain(message), file=sys.stderr, flush=True)


def caution(message: str) -> None:
    """Something the user should know before trusting the result; shown even with `--quiet`."""
    print(plain(f"caution: {message}"), file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Advance]:
    """A progress bar on stderr for work that may take more than two seconds.

    Without a terminal one line says what has begun; with `--quiet` nothing is shown.

    :param title: what is being done
    :param total: the number of units, or None where it is not known beforehand
    """
    if verbosity.quiet:
        yield lambda by=1: None
        return
    if not sys.stderr.isatty():
        say(title)
        yield lambda by=1: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    if total is not None:
        columns[2:2] = [BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda by=1: bar.advance(task, by)
