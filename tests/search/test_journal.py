"""The journal's lines: whole on the disk, or an error."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

import pytest

from ftc.errors import RunError
from ftc.search.journal import Failed, Journal


def write_until_full(path: Path, most_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    with pytest.raises(RunError, match="cannot be written"):
        Journal(path).add(Failed("prune", "no such network", 1.0, 2.0))


def test_a_line_that_the_disk_took_in_part_is_an_error_and_the_next_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "search" / "tiny.jsonl"
    Journal(path).add(Failed("export", "no space", 1.0, 1.0))
    whole = path.stat().st_size
    full = multiprocessing.get_context("fork").Process(target=write_until_full, args=(path, whole + 10))
    full.start()
    full.join()
    assert full.exitcode == 0
    assert path.stat().st_size == whole + 10
    Journal(path).add(Failed("quantize", "no space", 1.0, 3.0))
    assert [entry.key for entry in Journal(path).entries if isinstance(entry, Failed)] == ["export", "quantize"]
