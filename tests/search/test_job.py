"""A job on its own: whether it finds what was ordered, and what stands at the place of its result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from compress.choices import Graph
from ftc.artifact import Artifact, open_artifact
from ftc.checkpoint import open_any
from ftc.data import Columns
from ftc.declared import Declared
from ftc.errors import InputError
from ftc.search import job, optimize
from ftc.search.links import link, read_back
from ftc.search.parts import Source
from ftc.search.request import Request
from tests.search import made
from tests.search.test_prepare import lines, written


def ordered(root: Artifact, tmp_path: Path) -> dict[str, Any]:
    """An order for an export, and its 200 rows."""
    source = Source(str(written(tmp_path / "data.tsv", lines(200, 0))), Columns())
    known = Source(source.path, Columns(), tuning=source.parts(root).tuning.fingerprint)
    return job.order("tiny", root, Declared(), root, made.DYNAMIC[0], known, tmp_path / "search" / "tiny-export")


def test_what_changed_during_a_search_ends_it(text_checkpoint: Path, tmp_path: Path) -> None:
    root = open_any(shutil.copytree(text_checkpoint, tmp_path / "tiny"))
    request = ordered(root, tmp_path)
    written(tmp_path / "data.tsv", lines(201, 0))
    with pytest.raises(InputError, match=r"the rows changed .*data\.tsv has other rows than before"):
        job._linked(request)
    with (root.path / "config.json").open("a") as config:
        config.write("\n")
    with pytest.raises(InputError, match="tiny changed while it was searched: start again"):
        job._linked(request)
    search = made.search(tmp_path, Request(), (), root=root)
    with pytest.raises(InputError, match="tiny changed while it was searched: start again"):
        optimize._measured(search, ())
    (root.path / "config.json").unlink()
    with pytest.raises(InputError, match=r"changed while it was searched: .* has no config\.json.* start again"):
        job._linked(request)


def test_a_damaged_result_is_made_again(text_root: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def export(source: Artifact, _data: Any, place: Path, _options: Any) -> Artifact:
        return made.sealed(place, source, "export")

    monkeypatch.setitem(job._VERBS, "export", export)
    request = ordered(text_root, tmp_path)
    place = Path(job._linked(request)["path"])
    for file in ("model.onnx", "ftc.json"):
        (place / file).write_bytes(b"half a file")
        assert job._linked(request)["path"] == str(place)
        assert open_artifact(place).model_path.read_bytes() == b""
    (place / "ftc.json").unlink()
    assert job._linked(request)["path"] == str(place)


def test_what_a_step_chooses_among_comes_through_an_order(tmp_path: Path) -> None:
    options = link("export", to="onnx", graph=Graph.FUSED, lengths=(8, 16)).options
    read = read_back("export", json.loads(json.dumps(options)))
    assert read == dict(options)
    assert read["graph"] is Graph.FUSED, "by which steps tell it from the others"
