"""Which smaller network is trained, by what those that were judged have lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftc.search.links import key
from ftc.search.request import Request
from ftc.search.smaller import Smaller
from ftc.search.speeds import ByOperations, Shape
from tests.search import made
from tests.search.made import DYNAMIC


def shapes(*speedups: float) -> list[Shape]:
    found = [ByOperations().shape(speedup, 1.0) for speedup in speedups]
    return [shape for shape in found if shape is not None]


def test_where_no_network_was_judged_it_is_said_why_and_nothing_is_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    tried = shapes(1.6, 2.0)
    search.fail(key(tried[0].chain), "wanted more memory\nthan there is", 1.0)
    capsys.readouterr()
    assert Smaller(search, (DYNAMIC,))._aim(tried, ByOperations()) is None
    assert "no smaller network was judged: no time left; wanted more memory\n" in capsys.readouterr().err
    assert search.store.decided("training") is None


def test_the_fastest_that_training_may_bring_back_is_trained(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    tried = shapes(1.6, 2.0, 4.0)
    for shape, points in zip(tried, (0.5, 1.5, 4.0), strict=True):
        made.know(search, shape.chain, None, points)
    assert Smaller(search, (DYNAMIC,))._aim(tried, ByOperations()) == tried[1]
