"""The latency table as a process of its own times it."""

from __future__ import annotations

import math
import random
from pathlib import Path

from ftc.artifact import Artifact
from ftc.data import Columns
from ftc.declared import Declared
from ftc.search import job
from ftc.search.parts import Source
from ftc.search.store import TABLE
from ftc.search.workshop import Order, Processes
from tests.conftest import WORDS
from tests.search.made import DYNAMIC


def test_a_table_tells_what_layers_and_their_parts_take(text_root: Artifact, tmp_path: Path) -> None:
    drawn = random.Random(0)
    lines = [f"{' '.join(drawn.choices(WORDS, k=3 + n % 9))}\t{n % 2}" for n in range(200)]
    rows = tmp_path / "rows.tsv"
    rows.write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    request = job.table("tiny-table", text_root, Declared(), DYNAMIC, 8, (1,), Source(str(rows), Columns(), None))
    (done,) = Processes(tmp_path / "logs").do([Order(TABLE, request, 240.0)])
    assert done.failure is None
    assert done.result is not None
    assert done.result["shapes"] == [[4, 64], [4, 64]]
    assert all(math.isfinite(done.result[name]) for name in ("rest", "layer", "head", "neuron"))
