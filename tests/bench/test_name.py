"""Names in tables: whole, however narrow, and broken where they can be read."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from bench.name import Name, broken

LONG = "minilm-sst2-tflite-10-20-30-40-60-120-512-dynamic-int8"


@given(st.text(alphabet="ab1-", max_size=60), st.integers(1, 30))
def test_nothing_of_a_name_is_lost_and_every_line_fits(name: str, width: int) -> None:
    lines = broken(name, width).split("\n")
    assert "".join(lines) == name
    assert all(len(line) <= width for line in lines)


def test_names_are_broken_behind_hyphens() -> None:
    assert broken(LONG, 16) == "minilm-sst2-\ntflite-10-20-30-\n40-60-120-512-\ndynamic-int8"
    assert broken("short-name", 16) == "short-name"


def test_a_table_gives_names_the_room_that_it_has() -> None:
    for width, lines in ((80, 1), (20, 4)):
        table = Table(box=None, show_header=False)
        table.add_column()
        table.add_row(Name(LONG))
        shown = Console(file=io.StringIO(), width=width)
        with shown.capture() as captured:
            shown.print(table)
        assert "".join(captured.get().split()) == LONG
        assert len(captured.get().strip().splitlines()) == lines
