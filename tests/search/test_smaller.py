"""Which smaller network is trained, by what those that were judged have lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ftc.search import smaller
from ftc.search.bounds import Bounds
from ftc.search.judging import Judging
from ftc.search.links import key
from ftc.search.request import Request
from ftc.search.search import Search
from ftc.search.smaller import Smaller
from ftc.search.speeds import ByOperations, Shape, Speeds
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
    assert aim_of(search, tried) is None
    assert "no smaller network was judged: no time left; wanted more memory\n" in capsys.readouterr().err
    assert search.store.decided("training") is None


def test_where_all_are_inside_the_budget_a_faster_one_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    monkeypatch.setattr(Smaller, "_look", lambda _self, looked: made.know(search, looked[0].chain, None, 1.9))
    tried = shapes(1.6, 2.0)
    for shape, points in zip(tried, (0.4, 1.0), strict=True):
        made.know(search, shape.chain, None, points)
    aim = aim_of(search, tried)
    assert aim is not None
    assert aim.speedup == pytest.approx(2.0 + 0.4 / 0.6 * (1.0 / 0.5 - 1.0), rel=0.02)


def test_where_nothing_is_lost_one_half_as_fast_again_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = made.search(tmp_path, Request(max_drop=0.0), (DYNAMIC,))
    monkeypatch.setattr(Smaller, "_look", lambda _self, looked: made.know(search, looked[0].chain, None, 0.0))
    tried = shapes(1.6, 2.0)
    for shape in tried:
        made.know(search, shape.chain, None, 0.0)
    aim = aim_of(search, tried)
    assert aim is not None
    assert aim.speedup == pytest.approx(3.0, rel=0.02)


def test_training_that_could_make_nothing_faster_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    tried = shapes(1.6, 8.0)
    for shape, points in zip(tried, (0.1, 0.2), strict=True):
        made.know(search, shape.chain, None, points, spread_points=0.5)
    assert aim_of(search, tried, Slowing()) is None
    assert "one that is about as fast is shown to be inside the budget untrained" in capsys.readouterr().err


def test_what_may_be_outside_the_budget_on_other_rows_is_trained_where_nothing_faster_is(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    tried = shapes(1.6, 2.0)
    for shape, points in zip(tried, (1.0, 5.2), strict=True):
        made.know(search, shape.chain, None, points)
    assert aim_of(search, tried, Slowing(1.65)) == tried[0]
    decided = search.store.decided("training")
    assert decided is not None
    assert "not shown to be" in decided.why


def test_what_has_lost_more_than_was_reckoned_is_not_trained_but_what_was_near_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    tried = shapes(1.5, 1.92)
    for shape, points in zip(tried, (0.4, 1.5), strict=True):
        made.know(search, shape.chain, None, points)
    looked: list[Shape] = []

    def look(_self: Smaller, wanted: list[Shape]) -> None:
        looked.extend(wanted)
        made.know(search, wanted[0].chain, None, 5.2)

    monkeypatch.setattr(Smaller, "_look", look)
    assert aim_of(search, tried) == tried[1]
    (far,) = looked
    assert far.speedup == pytest.approx(1.92 + 0.42 * 0.5 / 1.1, rel=0.02), "by the line through both"


@pytest.mark.parametrize("points", [0.9, 1.1])
def test_what_is_inside_the_budget_gets_its_form_before_another_training_takes_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: float
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    made.know(search, DYNAMIC, 2.0)
    (tried,) = shapes(1.6)
    made.know(search, tried.chain, None, points)
    done: list[str] = []
    monkeypatch.setattr(smaller, "speeds_of", lambda *_: ByOperations())
    monkeypatch.setattr(smaller.plan, "TIERS", dict.fromkeys(smaller.Effort, (1.6,)))
    monkeypatch.setattr(Search, "form_s", lambda _self, _form: 500.0)  # dear
    monkeypatch.setattr(Smaller, "_look", lambda _self, _shapes: None)
    monkeypatch.setattr(Smaller, "_aim", lambda _self, shapes, _speeds: (tried, shapes))
    monkeypatch.setattr(Smaller, "_train", lambda _self, _aim: done.append("trained"))
    monkeypatch.setattr(Search, "finish", lambda _self, _chain, _forms: done.append("finished"))
    Smaller(search, (DYNAMIC,)).run()
    assert done[:1] == (["finished"] if points == 0.9 else ["trained"])


def aim_of(search: Search, tried: list[Shape], speeds: Speeds | None = None) -> Shape | None:
    return Smaller(search, (DYNAMIC,))._aim(tried, speeds or ByOperations())[0]


@dataclass(frozen=True)
class Slowing(ByOperations):
    """Has nothing faster than this, of what was aimed at."""

    speedup: float = 8.0

    def shape(self, speedup: float, depth: float) -> Shape | None:
        return shapes(self.speedup)[0]


def test_a_network_that_there_is_no_time_to_train_is_among_the_untried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    made.know(search, DYNAMIC, 2.0)
    (aim,) = shapes(2.0)
    made.know(search, aim.chain, None, 1.5)
    monkeypatch.setattr(Search, "left_s", lambda _self: 50.0)
    Smaller(search, (DYNAMIC,))._train(aim)
    (untried,) = search.untried()
    assert untried.startswith("prune --keep 0.5 | distill")


@pytest.mark.parametrize("distill", [True, False])
def test_none_is_trained_where_a_recipe_leaves_training_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distill: bool
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,), bounds=Bounds(distill=distill))
    made.know(search, DYNAMIC, 2.0)
    trained: list[Shape] = []
    monkeypatch.setattr(smaller, "speeds_of", lambda *_: ByOperations())
    monkeypatch.setattr(Judging, "judge", lambda _self, _chain: None)
    monkeypatch.setattr(Smaller, "_aim", lambda _self, tried, _speeds: (tried[0], tried))
    monkeypatch.setattr(Smaller, "_train", lambda _self, aim: trained.append(aim))
    Smaller(search, (DYNAMIC,)).run()
    assert len(trained) == distill


def test_the_fastest_that_training_may_bring_back_is_trained(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    tried = shapes(1.6, 2.0, 4.0)
    for shape, points in zip(tried, (0.5, 2.0, 4.0), strict=True):
        made.know(search, shape.chain, None, points)
    assert aim_of(search, tried) == tried[1]
