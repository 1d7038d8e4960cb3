"""Commands as a user types them, and what they say when they are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import forked


def typed(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """From the start of Python on."""
    command = [sys.executable, "-m", "ftc", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def ftc(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """From where the heavy libraries are imported, for what does not depend on that."""
    return forked.ftc([*map(str, arguments)], cwd=cwd)


def refused(result: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> None:
    """The command ended with the code and one message, and nothing on stdout."""
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    message = result.stderr.split("Error: ", 1)[1]
    assert all(word in message for word in words), message
