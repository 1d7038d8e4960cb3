"""What comes to the final measurement: also of what an earlier run of the same search has found."""

from __future__ import annotations

from pathlib import Path

from ftc.search import plan
from ftc.search.journal import Decided, Timed
from ftc.search.links import key
from ftc.search.request import Objective, Request
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
