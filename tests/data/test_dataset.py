"""The dataset value: parts of it, its fingerprint, and what opening the room costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ftc.data import Columns, Dataset, load
from ftc.errors import InputError


def numbered(path: Path, rows: int = 50) -> Dataset:
    lines = "".join(f"text {row}\t{row % 2}\n" for row in range(rows))
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"text\tlabel\n{lines}")
    return load(str(path), modality="text", classes=("no", "yes"))


def test_a_head_is_the_first_rows(tmp_path: Path) -> None:
    data = numbered(tmp_path / "a.tsv")
    head = data.head(3)
    assert list(head.examples) == ["text 0", "text 1", "text 2"]
    assert head.labels is not None
    assert head.labels.tolist() == [0, 1, 0]
    assert (len(head), head.source, head.columns) == (3, data.source, data.columns)
    assert head.fingerprint == f"{data.fingerprint}:head=3"
    assert data.head(50) is data
    assert data.head(51) is data


def test_a_sample_is_seeded_in_order_and_without_repeats(tmp_path: Path) -> None:
    data = numbered(tmp_path / "a.tsv")
    sample = data.sample(20, seed=1)
    rows = [int(str(text).split()[1]) for text in sample.examples]
    assert rows == sorted(set(rows))
    assert len(rows) == 20
    assert sample.labels is not None
    assert sample.labels.tolist() == [row % 2 for row in rows]
    assert list(data.sample(20, seed=1).examples) == list(sample.examples)
    assert list(data.sample(20, seed=2).examples) != list(sample.examples)
    assert sample.fingerprint != data.sample(20, seed=2).fingerprint != data.sample(21, seed=2).fingerprint
    assert data.sample(99, seed=1) is data


@pytest.mark.parametrize("rows", [0, -1])
def test_no_rows_cannot_be_asked_for(tmp_path: Path, rows: int) -> None:
    data = numbered(tmp_path / "a.tsv")
    with pytest.raises(InputError, match=f"at least 1, got {rows}"):
        data.head(rows)
    with pytest.raises(InputError, match=f"at least 1, got {rows}"):
        data.sample(rows, seed=0)


def test_a_fingerprint_depends_on_content_alone(tmp_path: Path) -> None:
    one = numbered(tmp_path / "here" / "a.tsv")
    assert numbered(tmp_path / "there" / "b.tsv").fingerprint == one.fingerprint
    assert len(one.fingerprint) == 64
    (tmp_path / "a.csv").write_text("label,text\n" + "".join(f"{row % 2},text {row}\n" for row in range(50)))
    as_csv = load(str(tmp_path / "a.csv"), modality="text", classes=("no", "yes"))
    assert as_csv.fingerprint == one.fingerprint


def test_a_fingerprint_changes_with_texts_labels_and_columns(tmp_path: Path) -> None:
    contents = [
        "text,label,text2\na,0,b\nc,1,d\n",
        "text,label,text2\na,0,b\nc,0,d\n",
        "text,label,text2\na,0,b\nc,1,e\n",
        "text,label,text2\nab,0,\nc,1,d\n",
        "text,label\na,0\nc,1\n",
        "sentence,label\na,0\nc,1\n",
        "text,other\na,0\nc,1\n",
        "text,label\nac,0\n,1\n",
    ]
    fingerprints = set()
    for content in contents:
        (tmp_path / "a.csv").write_text(content)
        data = load(str(tmp_path / "a.csv"), modality="text", classes=("no", "yes"))
        fingerprints.add(data.fingerprint)
    assert len(fingerprints) == len(contents)


def test_a_fingerprint_is_the_same_on_every_machine(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nna\u00efve,1\n", encoding="utf-8")
    data = load(str(tmp_path / "a.csv"), modality="text", classes=("no", "yes"))
    assert data.fingerprint == "a97bc95d12c1eee5c33b181fcf689d8e7a89ae5e784dcf8d9a566b60be559b2f"


def test_what_is_shown_of_a_dataset_is_short(tmp_path: Path) -> None:
    data = numbered(tmp_path / "a.tsv")
    assert "text 1" not in repr(data)
    assert data.columns == Columns(text="text", label="label")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", "no such file or folder"),
        ("a.txt", "plain text has no columns"),
        ("a.csv.gz", "unpack it first"),
        ("a.xlsx", "save the sheet as CSV"),
        ("a.pkl", "pickles run code"),
        ("a", "a file without an ending is not read"),
        ("a.doc", r"\.doc files are not read \(\.csv, .*\.npz are\)"),
    ],
)
def test_sources_that_are_not_read_are_refused_with_advice(tmp_path: Path, name: str, message: str) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"text\na\n")
    with pytest.raises(InputError, match=message):
        load(str(tmp_path / name), modality="text", classes=("no", "yes"))


def test_a_split_of_a_file_without_splits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(InputError, match="has no splits, but split 'test' was asked for"):
        load(str(tmp_path / "a.csv"), modality="text", classes=("no", "yes"), split="test")


def test_texts_are_not_looked_for_in_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a file instead"):
        load(str(tmp_path), modality="text", classes=("no", "yes"))


def test_heavy_libraries_wait_until_they_are_needed(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tlabel\na\t1\n")
    code = """
import sys
import ftc.data
heavy = {"numpy", "pandas", "pyarrow", "PIL", "datasets", "rich"} & set(sys.modules)
assert not heavy, heavy
ftc.data.load(sys.argv[1], modality="text", classes=("no", "yes"))
heavy = {"pandas", "pyarrow", "PIL", "datasets", "rich"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.tsv")], check=True)
