"""The workshop: work that crashes, hangs or wants too much memory ends alone, and the rest is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ftc.errors import InputError, RunError
from ftc.search import workshop
from ftc.search.workshop import Order, Processes


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for `ftc.search.job` that does what an order says."""
    package = tmp_path / "packages" / "ftc" / "search"
    package.mkdir(parents=True)
    for place in (package.parent, package):
        (place / "__init__.py").write_text("")
    (package / "job.py").write_text(
        textwrap.dedent(
            """
            import json, os, sys, time
            order = json.loads(sys.stdin.readline())
            match order["do"]:
                case "crash": os.abort()
                case "hang": time.sleep(600)
                case "grow": held = bytearray(600_000_000); held[::4096] = b"x" * len(held[::4096]); time.sleep(600)
                case "words": print("the last words", file=sys.stderr); sys.exit(3)
                case "change": print(json.dumps({"changed": "the checkpoint changed"}))
                case "refuse": print(json.dumps({"failed": "not this one"}))
                case _: print(json.dumps({"made": {"path": order["do"]}}))
            """
        )
    )
    monkeypatch.setattr(workshop, "_PACKAGES", str(tmp_path / "packages"))
    return tmp_path


def order(what: str, limit_s: float = 20.0) -> Order:
    return Order(what, {"name": what, "do": what}, limit_s)


def done(jobs: Path, *orders: Order, slots: int = 1) -> dict[str, Any]:
    return {one.order.key: one.failure or one.result for one in Processes(jobs / "logs", slots).do(orders)}


def test_each_piece_of_work_ends_alone(jobs: Path) -> None:
    found = done(jobs, order("crash"), order("words"), order("refuse"), order("hang", limit_s=1.0), order("fine"))
    assert "was ended by signal 6" in found["crash"]
    assert found["words"] == "its process ended with exit code 3; its last words: the last words"
    assert found["refuse"] == "not this one"
    assert found["hang"] == "took longer than 1 s"
    assert found["fine"] == {"path": "fine"}


def test_a_checkpoint_that_changed_ends_all_of_it(jobs: Path) -> None:
    with pytest.raises(InputError, match="the checkpoint changed"):
        done(jobs, order("change"), order("hang", limit_s=600.0))
    assert not [p for p in psutil.Process().children(recursive=True) if "ftc.search.job" in " ".join(p.cmdline())]


def test_more_memory_than_there_is_ends_it(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "_MEMORY_SHARE", 300e6 / psutil.virtual_memory().available)
    assert "GB of memory that it could have" in done(jobs, order("grow"))["grow"]


def test_what_wants_more_than_its_part_is_done_again_alone(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "_free_bytes", lambda: 10**9)
    found = done(jobs, order("grow", limit_s=5.0), order("fine"), slots=2)
    assert found == {"grow": "took longer than 5 s", "fine": {"path": "fine"}}, "and not for its memory"


def test_a_process_that_cannot_be_started_ends_alone(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop.sys, "executable", str(jobs / "nothing"))
    assert done(jobs, order("fine"))["fine"] == "its process could not be started: No such file or directory"


def test_words_that_cannot_be_kept_are_no_failure_of_the_work(jobs: Path) -> None:
    (jobs / "logs").write_text("in the way")
    with pytest.raises(RunError, match=r"cannot write to .*logs/fine\.log: File exists\. Mend that"):
        done(jobs, order("fine"))


def test_work_side_by_side(jobs: Path) -> None:
    began = time.monotonic()
    found = done(jobs, *(Order(str(number), {"name": str(number), "do": "hang"}, 2.0) for number in range(3)), slots=3)
    assert len(found) == 3
    assert time.monotonic() - began < 6.0, "one after the other would have taken as long at the least"


def test_a_caller_that_stops_ends_what_runs(jobs: Path) -> None:
    working = Processes(jobs / "logs", 2).do([order("fine"), order("hang", limit_s=600.0)])
    assert next(working).result == {"path": "fine"}
    working.close()  # type: ignore[attr-defined]
    assert not [p for p in psutil.Process().children(recursive=True) if "ftc.search.job" in " ".join(p.cmdline())]


def test_work_that_begins_while_the_caller_stops_is_ended(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, working = subprocess.Popen, Processes(jobs / "logs")

    def too_late(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = begin(*command, **options)
        working._is_closed = True
        return process

    monkeypatch.setattr(subprocess, "Popen", too_late)
    assert [one.failure for one in working.do([order("hang")])] == ["stopped"]


def test_work_does_not_outlive_a_killed_search(tmp_path: Path) -> None:
    """The real job, whose parent is killed while it works."""
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            """
            import subprocess, sys, time
            child = subprocess.Popen([sys.executable, "-m", "ftc.search.job"], stdin=subprocess.PIPE)
            print(child.pid, flush=True)
            time.sleep(600)
            """
        )
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
        child.wait(30)
    assert not child.is_running()
