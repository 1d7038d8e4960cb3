"""What is said on stderr while something goes on."""

from __future__ import annotations

import threading

from ftc.console import every


def test_it_is_said_again_and_again_until_it_is_over() -> None:
    said: list[int] = []
    often = threading.Event()

    def remind() -> None:
        said.append(len(said))
        if len(said) == 3:
            often.set()

    with every(0.001, remind):
        assert often.wait(10)
    count = len(said)
    assert not threading.Event().wait(0.05)
    assert len(said) == count
