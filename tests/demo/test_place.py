"""The demo's directory: gone on with when it is the same demo's, refused when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftc.demo.image import Digits
from ftc.demo.place import made_once, prepare
from ftc.demo.text import Intents
from ftc.errors import InputError


def write_one(directory: Path) -> str:
    (directory / "one").write_text("1")
    return "one file"


def test_a_new_or_an_empty_directory_is_taken(tmp_path: Path) -> None:
    prepare(tmp_path / "new", Intents())
    (tmp_path / "empty").mkdir()
    prepare(tmp_path / "empty", Intents())


def test_the_same_demo_goes_on(tmp_path: Path) -> None:
    prepare(tmp_path / "demo", Digits())
    kept = tmp_path / "demo" / "digits"
    kept.mkdir()
    prepare(tmp_path / "demo", Digits())
    assert kept.is_dir()


def test_another_recipe_or_another_demo_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path / "demo", Intents())
    with pytest.raises(InputError, match="another demo"):
        prepare(tmp_path / "demo", Intents(epochs=1))
    with pytest.raises(InputError, match="another demo"):
        prepare(tmp_path / "demo", Digits())


def test_a_directory_with_something_else_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"something else.*--force"):
        prepare(tmp_path, Intents())
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")
    with pytest.raises(InputError, match="is a file"):
        prepare(tmp_path / "demo", Intents())


def test_force_deletes_what_demos_write_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "data").mkdir()
    prepare(tmp_path, Intents(), force=True)
    assert {entry.name for entry in tmp_path.iterdir()} == {"thesis.tex", "demo.json"}


def test_what_was_made_is_not_made_again(tmp_path: Path) -> None:
    target = tmp_path / "data"
    assert made_once(target, write_one) == "one file"
    (target / "one").write_text("changed by its owner")
    assert made_once(target, write_one) == "already there"
    assert (target / "one").read_text() == "changed by its owner"


def test_what_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    def fail(directory: Path) -> str:
        write_one(directory)
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="power"):
        made_once(tmp_path / "data", fail)
    assert not list(tmp_path.iterdir())
