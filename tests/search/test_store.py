"""What a search knows of what others before it have done."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftc.search import plan
from ftc.search.journal import Built, Journal, set_aside
from ftc.search.links import key
from ftc.search.request import Request
from ftc.search.store import Store
from tests.search import made
from tests.search.made import DYNAMIC


def built(path: Path, seconds: float) -> Store:
    """A search that has found or made the dynamic form."""
    store = Store(Journal(path), made.root(path.parent))
    store.add(lambda at: Built(key(DYNAMIC), str(path.parent / "made"), "id", seconds, at))
    return store


def test_what_is_found_takes_as_long_as_making_it_did(tmp_path: Path) -> None:
    assert built(tmp_path / "first.jsonl", 90.0).built_in([DYNAMIC]) == 90.0
    assert built(tmp_path / "second.jsonl", 3.0).built_in([DYNAMIC]) == 90.0
    (tmp_path / "killed.jsonl").write_text('{"kind": "buil')
    set_aside(tmp_path / "first.jsonl")
    assert not (tmp_path / "first.jsonl").exists()
    assert built(tmp_path / "first.jsonl", 3.0).built_in([DYNAMIC]) == 90.0


def test_finalists_that_are_gone_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "can_prune", lambda _root: False)
    search = made.search(tmp_path, Request(), (DYNAMIC,))
    made.know(search, plan.REFERENCE, 1.0)
    made.know(search, DYNAMIC, 2.0)
    assert search.run() == (key(DYNAMIC),)
    found = search.store.artifact(DYNAMIC)
    assert found is not None
    found.path.rename(tmp_path / "elsewhere")
    again = made.search(tmp_path, Request(), (DYNAMIC,))
    monkeypatch.setattr(type(again), "_compare", lambda *_: None)
    assert again.run() == (key(DYNAMIC),)
    assert again.workshop.worked == [key(DYNAMIC)]


def test_what_is_damaged_counts_as_not_built_and_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = made.search(tmp_path, Request(), (DYNAMIC,)).store
    made.know(made.search(tmp_path, Request(), (DYNAMIC,), store=store), DYNAMIC, 2.0)
    found = store.artifact(DYNAMIC)
    assert found is not None
    found.model_path.write_bytes(b"half a file")
    assert store.artifact(DYNAMIC) is None
    assert store.artifact(DYNAMIC) is None
    assert capsys.readouterr().err.count("counts as not built") == 1
