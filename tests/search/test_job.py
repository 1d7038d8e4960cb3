"""A job on its own: what it finds at the place of its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftc.artifact import Artifact, open_artifact
from ftc.data import Columns
from ftc.declared import Declared
from ftc.search import job
from ftc.search.parts import Source
from tests.search import made
from tests.search.test_prepare import lines, written


def test_a_damaged_result_is_made_again(text_root: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def export(source: Artifact, _data: Any, place: Path, _options: Any) -> Artifact:
        return made.sealed(place, source, "export")

    monkeypatch.setitem(job._VERBS, "export", export)
    rows = Source(str(written(tmp_path / "data.tsv", lines(200, 0))), Columns())
    place = tmp_path / "search" / "tiny-export"
    request = job.order("tiny", text_root, Declared(), text_root, made.DYNAMIC[0], rows, place)
    job._linked(request)
    (place / "model.onnx").write_bytes(b"half a file")
    assert job._linked(request)["path"] == str(place)
    assert open_artifact(place).model_path.read_bytes() == b""
