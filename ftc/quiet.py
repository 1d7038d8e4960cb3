"""Keeping what libraries print off the screen while they work; `-v` lets it through."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ftc.console import verbosity


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence warnings, log records below ERROR and prints of the libraries called inside.

    With `-v` everything is shown, on stderr, so that stdout carries only the result.
    """
    if verbosity.libraries:
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    # read by transformers when it is imported; later it must be told
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if "transformers" in sys.modules:
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
