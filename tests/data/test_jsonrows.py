"""JSON lines and JSON lists: every row as it was written, or an error that names the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftc.data import Columns, Dataset, load
from ftc.errors import InputError

CLASSES = ("no", "yes")
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8)


def read(path: Path, content: str, *, need_labels: bool = False) -> Dataset:
    path.write_bytes(content.encode())
    return load(str(path), modality="text", classes=CLASSES, need_labels=need_labels)


@settings(max_examples=100, deadline=None)
@given(texts=TEXTS, escaped=st.booleans())
def test_texts_come_back_from_lines_and_from_a_list(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], escaped: bool
) -> None:
    folder = tmp_path_factory.getbasetemp()
    rows = [{"text": text, "label": index % 2} for index, text in enumerate(texts)]
    lines = "\n".join(json.dumps(row, ensure_ascii=escaped) for row in rows)
    by_line = read(folder / "property.jsonl", lines, need_labels=True)
    in_list = read(folder / "property.json", json.dumps(rows, ensure_ascii=escaped), need_labels=True)
    assert list(by_line.examples) == list(in_list.examples) == texts
    assert by_line.labels is not None
    assert by_line.labels.tolist() == [row["label"] for row in rows]
    assert by_line.fingerprint == in_list.fingerprint


def test_ndjson_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    data = read(tmp_path / "a.ndjson", '\ufeff{"text": "a"}\r\n{"text": "b"}\r\n\r\n')
    assert list(data.examples) == ["a", "b"]


def test_columns_of_later_rows_are_seen(tmp_path: Path) -> None:
    content = '{"text": "a", "label": "yes"}\n{"text": "b", "label": "no", "extra": 1}'
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match="'text', 'label', 'extra'"):
        load(str(path), modality="text", classes=CLASSES, columns=Columns(text="body"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "not JSON at line 2, column 10"),
        ("a.jsonl", '{"text": "a"}\n\n{"text": "b"}', "not JSON at line 2"),
        ("a.jsonl", '{"text": "a"}\n["b"]', "line 2 is a list; every row must be an object"),
        ("a.jsonl", "3", "line 1 is a number"),
        ("a.json", '[{"text": "a"}, null]', "row 2 is null"),
        ("a.json", '{"train": [["a", "yes"]]}', "holds an object; a .json file must hold a list of rows"),
        ("a.json", '{"text": "a"}\n{"text": "b"}', "not JSON at line 2, column 1.*name it .jsonl"),
        ("a.json", "[\n{,}]", "not JSON at line 2, column 2"),
        ("a.json", "[" * 100_000, "line 1 on cannot be read"),
        ("a.json", f'[{{"text": {"9" * 5000}}}]', "line 1 on cannot be read"),
        ("a.json", "[]", "no rows"),
        ("a.jsonl", "\n", "no rows"),
        ("a.jsonl", '{"text": "a"}\n{"label": 1}', "line 2: column 'text' must hold text, found nothing"),
        ("a.jsonl", '{"text": "a"}\n{"text": null}', "line 2: column 'text' must hold text, found nothing"),
        ("a.json", '[{"text": 3}]', "row 1: column 'text' must hold text, found int '3'"),
        ("a.jsonl", '{"text": "a"}\n{"text": "\\ud83d"}', "line 2: not valid Unicode"),
        ("a.jsonl", '{"text": "a", "label": ["yes"]}', "a label must be a name or a number, not a list"),
    ],
)
def test_anything_else_is_refused_with_its_place(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path / name, content)
