"""Which smaller network is trained, by what those that were judged have lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


@pytest.mark.parametrize(
    ("lost", "speedup"),
    [
        (lambda speed: 0.3, 4.5),  # half as fast again, at each of two looks
        (lambda speed: speed - 1.0, 2.67),  # what training brings back, 1 / 0.6 points, and no more
        (lambda speed: 0.1 * (speed - 1.0) ** 3, 3.0),  # at the second look it has lost far more
        (lambda speed: 5.2 if speed > 2.0 else 0.6 * (speed - 1.0), 2.0),  # far more: what was near it
        (lambda speed: None if speed > 2.0 else 0.6 * (speed - 1.0), 2.0),  # nothing so small can be built
        (lambda speed: 3.0 * (speed - 1.0), 1.61),  # less than was tried
        (lambda speed: 4.0 if speed < 1.7 else 1.8, 2.0),  # what loses less is not always slower
    ],
)
def test_the_fastest_that_training_may_bring_back_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: Callable[[float], float | None], speedup: float
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))

    def look(_self: object, wanted: Sequence[Shape]) -> None:
        for shape in wanted:
            if (points := lost(shape.speedup)) is not None:
                made.know(search, shape.chain, None, points)

    monkeypatch.setattr(Smaller, "_look", look)
    tried = shapes(1.6, 2.0)
    look(None, tried)
    aim = aim_of(search, tried)
    assert aim is not None
    assert aim.speedup == pytest.approx(speedup, rel=0.04)
    decided = search.store.decided("training")
    assert decided is not None
    assert decided.choice == (key(aim.chain),), "what is acted on is what was written down"


def test_where_nothing_faster_can_be_made_the_fastest_that_was_judged_is_trained(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    tried = shapes(1.6, 2.0)
    for shape, points in zip(tried, (0.4, 1.2), strict=True):
        made.know(search, shape.chain, None, points)
    assert aim_of(search, tried, NoOther()) == tried[1]


def test_where_all_have_lost_too_much_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    monkeypatch.setattr(Smaller, "_look", lambda _self, _shapes: None)
    tried = shapes(1.6, 2.0)
    for shape, points in zip(tried, (4.0, 9.0), strict=True):
        made.know(search, shape.chain, None, points)
    assert aim_of(search, tried) is None
    assert "no network that was judged is near enough" in capsys.readouterr().err


def test_training_that_could_make_nothing_faster_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    tried = shapes(1.6, 8.0)
    for shape, points in zip(tried, (0.1, 0.2), strict=True):
        made.know(search, shape.chain, None, points, spread_points=0.5)
    assert aim_of(search, tried, NoOther()) is None
    assert "the fastest that could be trained is shown to be inside the budget untrained" in capsys.readouterr().err


def test_what_may_be_outside_the_budget_on_other_rows_is_trained_where_nothing_faster_is(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    tried = shapes(1.6, 2.0)
    for shape, points in zip(tried, (1.0, 5.2), strict=True):
        made.know(search, shape.chain, None, points)
    assert aim_of(search, tried, NoOther()) == tried[0]
    decided = search.store.decided("training")
    assert decided is not None
    assert "not shown to be" in decided.why


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


class NoOther(ByOperations):
    """Has no shape but those that were tried."""

    def shape(self, speedup: float, depth: float) -> Shape | None:
        return None


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
