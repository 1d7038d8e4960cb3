"""Rows for searches from end to end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conftest import WORDS


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Rows to tune on and rows for the final score."""
    places = []
    for name, first, count in (("tune", 0, 400), ("final", 400, 60)):
        path = tmp_path_factory.mktemp("rows") / f"{name}.tsv"
        drawn = random.Random(first)
        lines = [f"{' '.join(drawn.choices(WORDS, k=3 + n % 9))}\t{n % 2}" for n in range(count)]
        path.write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
        places.append(path)
    return places[0], places[1]
