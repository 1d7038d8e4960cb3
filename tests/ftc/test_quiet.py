"""What is kept off the screen while libraries work, and what is not."""

from __future__ import annotations

import subprocess
import sys

NATIVE_AND_PYTHON = """
import logging, os, sys
from ftc.quiet import quiet_libraries
for _ in range(2):
    with quiet_libraries():
        os.write(2, b"native noise\\n")
        print("printed noise")
        print("said to the user", file=sys.stderr)
        handler = logging.StreamHandler()
logging.getLogger("library").addHandler(handler)
logging.getLogger("library").warning("heard afterwards")
os.write(2, b"native again\\n")
"""


def test_native_noise_is_dropped_and_what_we_say_is_not() -> None:
    ran = subprocess.run([sys.executable, "-c", NATIVE_AND_PYTHON], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    assert "noise" not in ran.stderr
    assert ran.stderr.count("said to the user") == 2
    # a log handler that a library made meanwhile works on
    assert "heard afterwards" in ran.stderr
    assert "Logging error" not in ran.stderr
    assert "native again" in ran.stderr
