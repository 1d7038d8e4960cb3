"""A worker ends when the process that supervises it is gone, however that ended."""

from __future__ import annotations

import os
import signal
import threading
import time

LOOK_S = 1.0
"""Between two looks."""

DRAIN_S = 75.0
"""What a worker may take to answer what it has accepted, before it ends at once: more than an answer may take."""


def end_with_parent() -> None:
    """Watch the parent of this process from a thread of its own; a process whose parent dies gets another one.

    A supervisor that is killed outright tells its workers nothing. Nobody starts or ends them any more, yet they would
    answer on its port for ever.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), name="orphans", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN_S)
    os.kill(os.getpid(), signal.SIGKILL)
