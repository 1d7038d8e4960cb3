"""The service's log: a JSON object on each line, and never anything of what was asked."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from typing import Any

_logger = logging.getLogger("ftc.serve")

_TALKATIVE = ("PIL", "python_multipart")
"""They tell of every damaged file and form, with bytes of it; the client hears that from the answer."""


def begin(*, quiet: bool) -> None:
    """Write to stdout from now on, and let nobody else write of what was asked.

    :param quiet: failures of the service alone, no requests
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _logger.handlers[:] = [handler]
    _logger.propagate = False
    _logger.setLevel(logging.ERROR if quiet else logging.INFO)
    warnings.filterwarnings("ignore", module=r"PIL\.")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def write(event: str, **values: Any) -> None:
    """One line about something that went as it should."""
    if _logger.isEnabledFor(logging.INFO):
        _logger.info(_line("info", event, values))


def failed(event: str, error: BaseException | None = None, **values: Any) -> None:
    """One line about something that must not happen, with the traceback as lines of its own."""
    _logger.error(_line("error", event, values), exc_info=error)


def _line(level: str, event: str, values: dict[str, Any]) -> str:
    return json.dumps({"time_s": round(time.time(), 3), "level": level, "event": event, **values})
