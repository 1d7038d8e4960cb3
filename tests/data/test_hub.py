"""Datasets of the hub: names are checked before, and failures told after, anything is fetched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftc.data import load
from ftc.errors import InputError


@pytest.mark.parametrize("name", ["", "a/b/c/d", "../a", "a b", "a:b:c", "https://host/a", "/etc"])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="write hub:name, hub:owner/name or hub:owner/name/config, then :split"):
        load(f"hub:{name}", modality="text", classes=("no", "yes"))


def test_two_different_splits_are_refused() -> None:
    with pytest.raises(InputError, match="names the split 'dev', but 'test' was asked for"):
        load("hub:owner/name:dev", modality="text", classes=("no", "yes"), split="test")


def test_a_folder_of_that_name_is_not_read_in_place_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="owner/name is a file or folder here"):
        load("hub:owner/name", modality="text", classes=("no", "yes"))


def test_being_offline_is_an_expected_failure(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    code = """
import sys
from ftc.data import load
from ftc.errors import InputError
for source in sys.argv[1:]:
    try:
        load(source, modality="text", classes=("no", "yes"))
    except InputError as error:
        print(error)
"""
    sources = ["hub:owner/name", "hub:owner/name/config:test"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", code, *sources], env=environment, capture_output=True, text=True, check=True
    ).stdout
    for source in sources:
        assert f"{source}: cannot be loaded from the hub: " in shown
    assert shown.count("check the name and the connection") == 2
