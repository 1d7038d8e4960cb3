"""Running a command as a whole process: wall time and the peak memory of its largest process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FTC = (sys.executable, "-m", "ftc")


@dataclass(frozen=True, slots=True)
class Run:
    """:param peak_rss_bytes: highest resident set of the process, sampled every 20 ms by its high-water mark"""

    wall_s: float
    peak_rss_bytes: int
    exit_code: int
    stdout: str
    stderr: str


def run(command: Sequence[str | Path]) -> Run:
    """Run a command to its end."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    peak = [0]

    def watch() -> None:
        while process.poll() is None:
            try:
                for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak[0] = max(peak[0], int(line.split()[1]) * 1024)
            except OSError:
                return
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    stdout, stderr = process.communicate()
    watcher.join()
    return Run(time.perf_counter() - start, peak[0], process.returncode, stdout, stderr)


def checked(command: Sequence[str | Path]) -> Run:
    """Run a command that must succeed; its words are shown if it does not."""
    result = run(command)
    if result.exit_code != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {result.exit_code}:\n{result.stderr}")
    return result
