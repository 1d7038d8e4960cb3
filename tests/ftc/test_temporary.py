"""One temporary directory for one command, gone with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ftc.temporary import own_temporary_directory

# as the command line does it: a terminated process leaves by an exception
WAITING = """
import signal, sys, tempfile, time
from ftc.temporary import own_temporary_directory
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
with own_temporary_directory():
    tempfile.mkdtemp()
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_is_left_in_it_is_gone_and_the_place_is_as_before(place: Path) -> None:
    given = os.environ.get("TMPDIR")
    with own_temporary_directory() as path:
        left = Path(tempfile.mkdtemp())
        seen_by_others = subprocess.run(
            [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"], capture_output=True, text=True
        ).stdout.strip()
        assert left.parent == path
        assert seen_by_others == str(path)
    assert list(place.iterdir()) == []
    assert tempfile.gettempdir() == str(place)
    assert os.environ.get("TMPDIR") == given


@pytest.mark.parametrize(("number", "left"), [(signal.SIGTERM, 0), (signal.SIGKILL, 1)])
def test_a_process_that_is_ended(place: Path, number: signal.Signals, left: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], env=os.environ | {"TMPDIR": str(place)}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        (its_own,) = place.iterdir()
        os.utime(its_own, (time.time() - 60,) * 2)
        with own_temporary_directory():
            assert its_own.exists()  # its process lives
        process.send_signal(number)
        process.wait(30)
    assert len(list(place.iterdir())) == left
    os.utime(place, None)
    with own_temporary_directory() as path:
        assert list(place.iterdir()) == [path]


def test_what_only_bears_such_a_name_is_left_alone(place: Path) -> None:
    file, link = place / "ftc-temporary-file", place / "ftc-temporary-link"
    file.write_text("mine")
    link.symlink_to(place)
    for path in (file, link):
        os.utime(path, (time.time() - 60,) * 2, follow_symlinks=False)
    with own_temporary_directory():
        pass
    assert sorted(place.iterdir()) == [file, link]
