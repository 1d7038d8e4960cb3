"""CSV and TSV: every row as it was written, or an error that names the line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftc.data import Dataset, load
from ftc.errors import InputError

CLASSES = ("no", "yes")
CHARACTERS = st.characters(exclude_categories=["Cs"])  # halves of surrogate pairs cannot be written as UTF-8
ROWS = st.lists(st.tuples(st.text(CHARACTERS), st.sampled_from(CLASSES)), min_size=1, max_size=8)
TSV_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"))
TSV_ROWS = st.lists(st.tuples(TSV_TEXT, st.sampled_from(CLASSES)), min_size=1, max_size=8)


def read(path: Path, content: str | bytes, *, need_labels: bool = True) -> Dataset:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(str(path), modality="text", classes=CLASSES, need_labels=need_labels)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, line_end=st.sampled_from(["\n", "\r\n"]), mark=st.booleans())
def test_csv_returns_every_text_that_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], line_end: str, mark: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.csv"
    with path.open("w", newline="", encoding="utf-8-sig" if mark else "utf-8") as file:
        # the csv module encloses a lone "\r" in quotes only if it encloses everything or ends lines with it
        if line_end == "\n":
            writer = csv.writer(file, lineterminator=line_end, quoting=csv.QUOTE_ALL)
        else:
            writer = csv.writer(file, lineterminator=line_end)
        writer.writerows([("text", "label"), *rows])
    data = load(str(path), modality="text", classes=CLASSES, need_labels=True)
    assert list(data.examples) == [text for text, _ in rows]
    assert data.labels is not None
    assert data.labels.tolist() == [CLASSES.index(label) for _, label in rows]


@settings(max_examples=100, deadline=None)
@given(rows=TSV_ROWS, line_end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_tsv_returns_every_text_that_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], line_end: str, last: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.tsv"
    lines = ["\t".join(row) for row in [("text", "label"), *rows]]
    data = read(path, line_end.join(lines) + (line_end if last else ""))
    assert list(data.examples) == [text for text, _ in rows]


def test_quotes_and_outer_spaces_are_content_in_tsv(tmp_path: Path) -> None:
    data = read(tmp_path / "a.tsv", 'sentence\tlabel\n"a" fine film \tyes\n"unclosed \tno\n')
    assert list(data.examples) == ['"a" fine film ', '"unclosed ']


def test_words_for_missing_values_stay_texts(tmp_path: Path) -> None:
    words = ["NA", "null", "None", "nan", "N/A", "1"]
    for suffix, separator in ((".csv", ","), (".tsv", "\t")):
        rows = "".join(f"{word}{separator}yes\n" for word in words)
        assert list(read(tmp_path / f"a{suffix}", f"text{separator}label\n{rows}").examples) == words


def test_characters_that_other_tools_take_for_line_ends_stay_in_the_text(tmp_path: Path) -> None:
    text = "a\u2028b\x85c\x0bd"
    assert list(read(tmp_path / "a.tsv", f"text\tlabel\n{text}\tyes\n").examples) == [text]
    assert list(read(tmp_path / "a.csv", f"text,label\n{text},yes\n").examples) == [text]


def test_documents_longer_than_the_csv_modules_limit_are_read(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    data = read(tmp_path / "a.csv", f"text,label\n{'x' * 200_000},yes\n")
    assert len(str(data.examples[0])) == 200_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_blank_lines_at_the_end_are_no_rows(tmp_path: Path, suffix: str, separator: str) -> None:
    assert len(read(tmp_path / f"a{suffix}", f"text{separator}label\na{separator}yes\n\n\n")) == 1


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
@pytest.mark.parametrize(("bad", "fields"), [("", 0), ("b", 1), ("b{0}yes{0}more", 3)])
def test_a_row_with_too_few_or_too_many_fields_is_refused(
    tmp_path: Path, suffix: str, separator: str, bad: str, fields: int
) -> None:
    rows = ["text{0}label", "a{0}yes", bad, "c{0}no"]
    with pytest.raises(InputError, match=f"line 3 has {fields} fields, the header has 2 .*'text', 'label'"):
        read(tmp_path / f"a{suffix}", "\n".join(rows).format(separator))


def test_the_line_of_a_bad_row_counts_line_ends_inside_quotes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 5 has 1 fields"):
        read(tmp_path / "a.csv", 'text,label\n"a\nb\nc",yes\nshort\n')


@pytest.mark.parametrize("content", ['text,label\na,yes\n"never closed,no\nb,yes\n', 'text,label\na,yes\n"b"c,no\n'])
def test_malformed_quotes_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="malformed CSV in the row from line 3 on"):
        read(tmp_path / "a.csv", content)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_not_utf8_are_located(tmp_path: Path, name: str, mark: bytes) -> None:
    content = mark + b"text\nfine\ncaf\xe9\n"
    with pytest.raises(InputError, match=rf"{name}: not UTF-8: byte 0xe9 at offset {len(mark) + 13}, line 3; save"):
        read(tmp_path / name, content)


def test_utf16_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="UTF-16"):
        read(tmp_path / "a.csv", "text,label\na,yes\n".encode("utf-16"))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize(
    ("content", "message"), [("", "the file is empty"), ("text\n", "no rows"), ("\n\n", "the file is empty")]
)
def test_files_without_rows_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path / name, content, need_labels=False)


def test_empty_texts_are_kept_and_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = read(tmp_path / "a.tsv", "text\tlabel\na\tyes\n\tno\n")
    assert list(data.examples) == ["a", ""]
    assert "1 texts are empty, the first in row 2 (line 3)" in capsys.readouterr().err
