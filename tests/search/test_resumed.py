"""What the clock has decided is decided: a search that goes on, with more time or with less, ends as it would have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ftc.search import plan, speeds
from ftc.search.links import key
from ftc.search.request import Request
from ftc.search.search import Search
from ftc.search.store import TABLE
from ftc.search.workshop import Done, Order
from tests.search import made
from tests.search.made import DYNAMIC, STATIC, Idle, pruned


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Search, "_compare", lambda _self, _chains: None)


def search(place: Path, budget_s: float) -> Search:
    """The search as its journal has it, with as much time as the test wants."""
    return made.search(place, Request(time_budget_s=budget_s), (DYNAMIC, STATIC))


def worked(one: Search) -> list[str]:
    assert isinstance(one.workshop, Idle)
    return one.workshop.worked


class KilledAtStatic(Idle):
    """Ends the search when static INT8 is to be made."""

    def do(self, orders: Sequence[Order]) -> Iterator[Done]:
        if key(STATIC) in [order.key for order in orders]:
            raise KeyboardInterrupt
        yield from super().do(orders)


def test_what_there_was_no_time_for_is_left_out_again(tmp_path: Path) -> None:
    made.know(search(tmp_path, 60), plan.REFERENCE, None, at=59.0)
    for budget_s in (60, 6000):
        again = search(tmp_path, budget_s)
        again._without_training()
        assert key(STATIC) not in worked(again)


def test_however_late_it_is_one_candidate_is_tried(tmp_path: Path) -> None:
    made.know(search(tmp_path, 60), plan.REFERENCE, None, at=59.0)
    late = search(tmp_path, 60)
    late._without_training()
    assert worked(late) == [key(DYNAMIC)]
    assert late.untried() == (key(STATIC),)


def test_what_was_begun_in_time_is_made_however_late_it_is(tmp_path: Path) -> None:
    killed = search(tmp_path, 6000)
    killed.workshop = KilledAtStatic(killed.planned.root)
    with pytest.raises(KeyboardInterrupt):
        killed._without_training()
    made.know(killed, DYNAMIC, None, at=59.0)
    late = search(tmp_path, 60)
    late._without_training()
    assert worked(late) == [key(STATIC)]


def test_a_network_that_was_not_finished_for_want_of_time_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.know(search(tmp_path, 600), pruned(0.5)[:1], None)
    for left_s in (0.0, 1000.0):
        again = search(tmp_path, 600)
        monkeypatch.setattr(Search, "left_s", lambda _self, left_s=left_s: left_s)
        again.finish(pruned(0.5)[:1], [DYNAMIC])
        assert worked(again) == []


def test_a_latency_table_that_there_was_no_time_for_is_not_timed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speeds, "has_attention", lambda _root: True)
    monkeypatch.setattr(speeds, "_layers_of", lambda _root: 6)
    for left_s in (0.0, 1000.0):
        again = search(tmp_path, 600)
        monkeypatch.setattr(Search, "left_s", lambda _self, left_s=left_s: left_s)
        assert speeds.speeds_of(again, DYNAMIC) is None
        assert worked(again) == []
        assert again.untried() == (TABLE,)


def test_a_latency_table_that_failed_is_not_timed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "has_attention", lambda _root: True)
    monkeypatch.setattr(speeds, "_layers_of", lambda _root: 6)
    search(tmp_path, 600).fail(TABLE, "took longer than 60 s", 60.0)
    again = search(tmp_path, 600)
    assert speeds.speeds_of(again, DYNAMIC) is None
    assert worked(again) == []
    assert again.store.failed(TABLE) == "took longer than 60 s"
