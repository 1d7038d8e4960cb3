"""Keeping what libraries print off the screen while they work; `-v` lets it through."""

from __future__ import annotations

import atexit
import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TextIO

from ftc.console import verbosity


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence warnings, log records below ERROR, prints, and what native code writes to stderr.

    With `-v` everything is shown, on stderr, so that stdout carries only the result.
    """
    if verbosity.libraries:
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    # read by transformers, TensorFlow and tqdm when they are imported; later transformers must be told
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TQDM_DISABLE", "1")
    if "transformers" in sys.modules:
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _native_stderr_dropped():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def quiet_exit() -> None:
    """Drop what native libraries write to stderr when the process ends, after all that `ftc` has to say."""

    def drop() -> None:
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    atexit.register(drop)


@contextmanager
def _native_stderr_dropped() -> Iterator[None]:
    """Compilers and delegates write to file descriptor 2 past Python; `sys.stderr` goes on through a copy of it."""
    try:
        is_ours = sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):
        is_ours = False
    if not is_ours:  # nested, or captured by someone else
        yield
        return
    sys.stderr.flush()
    python_stderr, through = sys.stderr, _past_redirection()
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = through
        try:
            yield
        finally:
            through.flush()
            os.dup2(through.fileno(), 2)
            sys.stderr = python_stderr


@cache
def _past_redirection() -> TextIO:
    """One copy of the process's stderr, never closed: log handlers that libraries make meanwhile go on using it."""
    return os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
