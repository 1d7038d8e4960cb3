"""What comes to the final measurement: also of what an earlier run of the same search has found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import screening
from ftc.search import plan
from ftc.search.bounds import Bounds
from ftc.search.journal import Decided, Timed
from ftc.search.links import key, link
from ftc.search.request import Objective, Request
from ftc.search.search import Search
from ftc.search.smaller import Smaller
from ftc.search.timing import Timing
from tests.search import made
from tests.search.made import DYNAMIC, STATIC, Idle, pruned


def test_a_search_that_goes_on_late_takes_what_an_earlier_run_found(tmp_path: Path) -> None:
    asked = Request(objective=Objective.SIZE, time_budget_s=600)
    search = made.search(tmp_path, asked, (DYNAMIC, STATIC))
    for place, chain in enumerate((plan.REFERENCE, DYNAMIC, STATIC)):
        made.know(search, chain, 1.0 + place, size_bytes=900 - place, at=500.0)
    resumed = made.search(tmp_path, asked, (DYNAMIC, STATIC))
    assert resumed.store.elapsed_s >= 500, "later than anything new is begun"
    assert resumed.run() == (key(STATIC), key(DYNAMIC))


def test_a_network_without_time_to_be_finished_again_stays_a_candidate(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(time_budget_s=60), (DYNAMIC,))
    for chain, ratio in ((plan.REFERENCE, 1.0), (DYNAMIC, 2.0), (pruned(0.5), 3.0)):
        made.know(search, chain, ratio, at=59.0)
    search.finish(pruned(0.5)[:1], [DYNAMIC])
    assert search.candidates() == {key(DYNAMIC): 2.0, key(pruned(0.5)): 3.0}


@pytest.mark.parametrize(
    ("bounds", "forms"), [(Bounds(), [(DYNAMIC,)]), (Bounds(distill=False), [(DYNAMIC,)]), (Bounds(prune=False), [])]
)
def test_smaller_networks_are_looked_for_unless_a_recipe_leaves_them_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounds: Bounds, forms: list[object]
) -> None:
    looked: list[object] = []
    monkeypatch.setattr(Smaller, "run", lambda self: looked.append(self.forms))
    monkeypatch.setattr(Search, "_compare", lambda _self, _chains: None)
    search = made.search(tmp_path, Request(), (DYNAMIC,), bounds=bounds)
    made.know(search, plan.REFERENCE, 1.0)
    made.know(search, DYNAMIC, 2.0)
    search.run()
    assert looked == forms


@pytest.mark.parametrize(("left_s", "is_finished"), [(18.0, True), (12.0, False)])
def test_a_smaller_network_is_reckoned_to_take_less_than_the_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_s: float, is_finished: bool
) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    made.know(search, DYNAMIC, 2.0)
    made.know(search, pruned(0.5)[:1], None)
    assert search.form_s(DYNAMIC) > 20
    monkeypatch.setattr(Search, "left_s", lambda self: left_s)
    monkeypatch.setattr(Search, "_compare", lambda self, chains: None)
    search.finish(pruned(0.5)[:1], [DYNAMIC])
    assert (search.store.artifact(pruned(0.5)) is not None) == is_finished


def test_once_the_finalists_are_chosen_nothing_more_is_built(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC, STATIC))
    made.know(search, DYNAMIC, 2.0)
    made.know(search, pruned(0.5), 3.0)
    chosen = (key(pruned(0.5)), key(DYNAMIC))
    search.store.add(lambda at: Decided("finalists", chosen, "the best few", at))
    assert search.run() == chosen
    assert isinstance(search.workshop, Idle)
    assert search.workshop.worked == []
    assert sum(isinstance(entry, Timed) for entry in search.store.journal.entries) == 2


def test_stopped_twice_a_search_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_search: Search) -> None:
        raise KeyboardInterrupt

    search = made.search(tmp_path, Request(objective=Objective.SIZE), (DYNAMIC, STATIC))
    made.know(search, DYNAMIC, 2.0)
    with monkeypatch.context() as stopped:
        stopped.setattr(Search, "_without_training", interrupted)
        assert search.run() == (key(DYNAMIC),)
    resumed = made.search(tmp_path, Request(objective=Objective.SIZE), (DYNAMIC, STATIC))
    monkeypatch.setattr(Search, "_compare", lambda _self, _chains: None)
    resumed.run()
    assert isinstance(resumed.workshop, Idle)
    assert key(STATIC) in resumed.workshop.worked, "its measurement was stopped, too"


def test_what_is_inside_the_budget_comes_first_and_the_fastest_keeps_a_slot(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    for keep, ratio, points in ((0.3, 6.0, 2.5), (0.35, 5.0, 2.3), (0.4, 4.0, 2.0), (0.6, 3.0, 0.2), (0.1, 9.0, 4.5)):
        made.know(search, pruned(keep), ratio, points)
    made.know(search, DYNAMIC, 2.0, 0.1)
    chosen = search._finalists()[0]
    assert chosen == (key(pruned(0.6)), key(DYNAMIC), key(pruned(0.3)), key(pruned(0.35)))


def test_what_breaks_a_limit_comes_last(tmp_path: Path) -> None:
    search = made.search(tmp_path, Request(max_size_bytes=1000, max_latency_ns=2e6), (DYNAMIC,))
    for keep, size, took in ((0.3, 1001, 1e6), (0.35, 1000, 1e6), (0.4, 900, 3e6), (0.5, 900, 1e6), (0.6, 900, 1e6)):
        made.know(search, pruned(keep), 1 / keep, size_bytes=size, p50_ns=took)
    assert search._finalists()[0] == (key(pruned(0.35)), key(pruned(0.5)), key(pruned(0.6)))


def test_what_two_chains_have_made_alike_is_judged_and_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, spelled_out = (link("export", to="onnx", graph="fused"),), (DYNAMIC[0], link("quantize", rows=256))
    search = made.search(tmp_path, Request(), (plain, DYNAMIC, spelled_out))
    for chain in (plan.REFERENCE, DYNAMIC):
        made.know(search, chain, None)
    made.know_twin(search, plain, plan.REFERENCE)
    made.know_twin(search, spelled_out, DYNAMIC)
    timed: list[str] = []
    monkeypatch.setattr(Timing, "take", lambda _self, names: timed.extend(names))
    search._compare(search.planned.chains)
    assert timed == [key(plan.REFERENCE), key(DYNAMIC)]
    assert search.store.judged(key(spelled_out)) is None
    assert search._finalists()[0] == (key(DYNAMIC),), "where nothing was timed"


def test_a_least_score_says_what_may_be_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = made.rows(100).labels
    assert right is not None
    answers = np.where(np.arange(100) < 8, 1 - right, right)
    monkeypatch.setattr(screening, "answers", lambda *_args, **_options: answers)
    search = made.search(tmp_path, Request(min_score=0.8), (DYNAMIC,))
    assert search.judging.allowed_points == pytest.approx(12)
    for keep, ratio, points in ((0.3, 6.0, 14.0), (0.4, 4.0, 11.0), (0.6, 3.0, 5.0), (0.7, 2.0, 3.0)):
        made.know(search, pruned(keep), ratio, points)
    assert search._finalists()[0] == (key(pruned(0.4)), key(pruned(0.6)), key(pruned(0.7)), key(pruned(0.3)))
