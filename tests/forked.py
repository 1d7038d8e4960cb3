"""`ftc` in a process of its own that need not import PyTorch again: forked from one that has.

Importing PyTorch and transformers takes 5 s of processor time, and what most commands do to a tiny checkpoint less. A
forked process has its own arguments, directory, environment and output, and ends as Python ends. What a process does
from its first import on, and how it takes signals, is for tests that start one: `tests/cli/typed.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_HEAVY = (
    "torch",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.exporters.exporter_onnx",
    "onnxruntime",
)
"""Their only threads are those of OpenBLAS, which starts them anew in a forked process."""


def ftc(
    arguments: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` answers of `python -m ftc` with these arguments."""
    with tempfile.TemporaryDirectory() as place:
        said, told = Path(place) / "stdout", Path(place) / "stderr"
        order = {
            "arguments": [*arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "stdout": str(said),
            "stderr": str(told),
        }
        code = _ended(order)
        return subprocess.CompletedProcess(["ftc", *arguments], code, said.read_text(), told.read_text())


def _ended(order: dict[str, Any]) -> int:
    """The exit code of an order; one that is not waited for to its end, as by a time limit, ends the server too."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline())
    except BaseException:
        server.kill()
        _server.cache_clear()
        raise


@cache
def _server() -> subprocess.Popen[str]:
    """Ends when this process does, since its stdin ends then; -P, since tests/ftc lies beside this file."""
    command = [sys.executable, "-P", __file__]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _serve() -> None:
    """Fork for each order that comes; returns in the children alone, which then are what was ordered."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return _become(json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
    sys.exit()


def _become(order: dict[str, Any]) -> None:
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, order["stdout"], os.O_WRONLY | os.O_CREAT),
        (2, order["stderr"], os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["ftc", *order["arguments"]]


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"  # as the command line sets it before it imports anything
    from ftc.cli import main

    for heavy in _HEAVY:
        import_module(heavy)
    _serve()
    main(prog_name="ftc")
