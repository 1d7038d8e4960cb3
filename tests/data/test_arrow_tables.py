"""Parquet files, and folders that the `datasets` library saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ftc.data import Dataset, load
from ftc.errors import InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
datasets = pytest.importorskip("datasets")

CLASSES = ("no", "yes")


def read(path: Path, *, need: bool = True, split: str | None = None, modality: Any = "text") -> Dataset:
    return load(str(path), modality=modality, classes=CLASSES, need_labels=need, split=split)


def ids(data: Dataset) -> list[int]:
    assert data.labels is not None
    return [int(label) for label in data.labels]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([1, 0, 1]),
        pa.array([1.0, 0.0, 1.0]),
        pa.array([True, False, True]),
        pa.array(["yes", "no", "yes"]),
        pa.array(["yes", "no", "yes"]).dictionary_encode(),
    ],
)
def test_parquet_texts_and_labels_of_every_type(tmp_path: Path, labels: Any) -> None:
    texts = ["NA", "", 'a "quoted", long\nline \u2028']
    pq.write_table(pa.table({"idx": [1, 2, 3], "sentence": texts, "label": labels}), tmp_path / "a.parquet")
    data = read(tmp_path / "a.parquet")
    assert list(data.examples) == texts
    assert ids(data) == [1, 0, 1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"text": ["a", None], "label": [0, 1]}, "row 2: column 'text' must hold text, found nothing"),
        ({"text": [b"a"], "label": [0]}, "row 1: column 'text' must hold text, found bytes"),
        ({"text": ["a", "b"], "label": [0, None]}, "1 of 2 rows have no label, the first is row 2"),
        ({"text": ["a", "b"], "label": [0.0, float("nan")]}, "1 of 2 rows have no label, the first is row 2"),
        ({"text": ["a"], "label": [[0]]}, "a label must be a name or a number, not a list"),
        ({"text": pa.array([b"a", b"caf\xe9"]).view(pa.string()), "label": [0, 1]}, "row 2 is not UTF-8"),
        ({"body": ["a"], "label": [0]}, "no column of texts found among 'body', 'label'"),
        ({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}, "no rows"),
    ],
)
def test_parquet_rows_that_cannot_be_taken_are_refused(tmp_path: Path, table: dict[str, Any], message: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.parquet")


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["abc" * 99], "label": [0]}), tmp_path / "a.parquet", compression="gzip")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-9])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes(whole[:4] + bytes(60) + whole[64:])
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize(("names", "expected"), [(["yes", "no"], [1, 0, 0]), (["a", "b"], [0, 1, 1])])
def test_names_noted_for_numbers_decide_over_the_numbers(tmp_path: Path, names: list[str], expected: list[int]) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 1]}, features=features)
    rows.to_parquet(tmp_path / "a.parquet")
    rows.save_to_disk(str(tmp_path / "saved"))
    assert ids(read(tmp_path / "a.parquet")) == expected
    assert ids(read(tmp_path / "saved")) == expected


@pytest.mark.parametrize(
    "note", [b"no json", b"[]", b'{"info": 3}', b'{"info": {"features": {"label": {"names": 3}}}}']
)
def test_a_strange_note_in_a_schema_changes_nothing(tmp_path: Path, note: bytes) -> None:
    table = pa.table({"text": ["a"], "label": [1]}).replace_schema_metadata({b"huggingface": note})
    pq.write_table(table, tmp_path / "a.parquet")
    assert ids(read(tmp_path / "a.parquet")) == [1]


def test_a_saved_dataset_is_read_as_it_was_selected(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": list("abcd"), "label": [0, 1, 0, 1]})
    rows.select([3, 0]).save_to_disk(str(tmp_path / "saved"))
    data = read(tmp_path / "saved")
    assert list(data.examples) == ["d", "a"]
    assert ids(data) == [1, 0]
    with pytest.raises(InputError, match="has no splits, but split 'test' was asked for"):
        read(tmp_path / "saved", split="test")


def test_of_several_splits_one_must_be_named(tmp_path: Path) -> None:
    def part(text: str) -> Any:
        return datasets.Dataset.from_dict({"text": [text], "label": [0]})

    datasets.DatasetDict({"train": part("a"), "test": part("b")}).save_to_disk(str(tmp_path / "both"))
    datasets.DatasetDict({"train": part("a")}).save_to_disk(str(tmp_path / "one"))
    assert list(read(tmp_path / "both", split="test").examples) == ["b"]
    assert list(read(tmp_path / "one").examples) == ["a"]
    with pytest.raises(InputError, match="has the splits train, test; name one with --split"):
        read(tmp_path / "both")
    with pytest.raises(InputError, match="no split 'dev'; the splits are train, test"):
        read(tmp_path / "both", split="dev")


def test_images_of_a_saved_dataset_are_decoded_on_access(tmp_path: Path) -> None:
    arrays = [np.full((3, 4, 3), value, np.uint8) for value in (10, 20)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    rows = {"image": [Image.fromarray(array) for array in arrays], "label": [0, 1]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "saved"))
    data = read(tmp_path / "saved", modality="image")
    assert all(np.array_equal(np.asarray(image), array) for image, array in zip(data.examples, arrays, strict=True))
    assert ids(data.sample(1, seed=0)) in ([0], [1])


def test_a_damaged_saved_dataset_is_refused(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"text": ["a"], "label": [0]}).save_to_disk(str(tmp_path / "saved"))
    next((tmp_path / "saved").glob("*.arrow")).write_bytes(b"broken")
    with pytest.raises(InputError, match="cannot be read as a saved dataset"):
        read(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read as a saved dataset"):
        read(tmp_path / "saved")
