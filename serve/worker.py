"""What a worker process sees to itself: that it may hold many connections, and that it ends with its supervisor."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time

LOOK_S = 1.0
"""Between two looks."""

DRAIN_S = 75.0
"""What a worker may take to answer what it has accepted, before it ends at once: more than an answer may take."""


MOST_FILES = 2**16
"""Open at once, most of them connections."""


def allow_connections() -> None:
    """Take as many open files as the system lets it have.

    Soft limits of 1,024 are usual; requests that hang would use them up, and nobody else could connect.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


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
