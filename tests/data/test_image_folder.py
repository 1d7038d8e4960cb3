"""Folders of images: one directory per class, in an order that does not depend on the machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ftc.data import Columns, Dataset, load
from ftc.errors import InputError

CLASSES = ("cat", "dog")


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), seed, dtype=np.uint8)).save(path)


def read(folder: Path, *, need: bool = True, split: str | None = None, columns: Columns | None = None) -> Dataset:
    columns = columns or Columns()
    return load(str(folder), modality="image", classes=CLASSES, need_labels=need, split=split, columns=columns)


def test_directories_are_classes_and_the_order_is_that_of_the_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(
        ["Dog/b.png", "cat/z.PNG", "Dog/a.png", "Dog/more/c.png", ".hidden/x.png", "cat/.y.png"]
    ):
        picture(tmp_path / name, seed)
    data = read(tmp_path)
    assert [int(np.asarray(image)[0, 0, 0]) for image in data.examples] == [2, 0, 3, 1]
    assert data.labels is not None
    assert data.labels.tolist() == [1, 1, 1, 0]
    assert data.columns == Columns()
    assert "2 class directories; 4 images" in capsys.readouterr().err


def test_numbered_directories_are_class_numbers(tmp_path: Path) -> None:
    picture(tmp_path / "1" / "a.png")
    picture(tmp_path / "0" / "b.png")
    labels = read(tmp_path).labels
    assert labels is not None
    assert labels.tolist() == [0, 1]


def test_the_fingerprint_does_not_depend_on_the_place(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        picture(tmp_path / folder / "cat" / "a.png", 1)
        picture(tmp_path / folder / "dog" / "b.png", 2)
    assert read(tmp_path / "one").fingerprint == read(tmp_path / "two").fingerprint
    picture(tmp_path / "two" / "dog" / "b.png", 3)
    assert read(tmp_path / "one").fingerprint != read(tmp_path / "two").fingerprint


def test_a_directory_that_is_no_class_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    picture(tmp_path / "horse" / "a.png")
    with pytest.raises(
        InputError, match=r"1 of 2 different labels .*: 'horse'\n.*'cat', 'dog'.*\n.*name the directories"
    ):
        read(tmp_path)


def test_a_list_of_labels_in_the_folder_is_pointed_out(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "labels.csv").write_text("file,label\na.png,cat\n")
    with pytest.raises(InputError, match=r"listed in labels\.csv, give that file instead"):
        read(tmp_path)


def test_images_without_class_directories_have_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "a.png")
    assert read(tmp_path, need=False).labels is None
    assert "read without labels" in capsys.readouterr().err
    with pytest.raises(InputError, match="in no class directories, but labels are needed"):
        read(tmp_path)


def test_images_beside_class_directories_are_rows_without_labels(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    picture(tmp_path / "stray.png")
    with pytest.raises(InputError, match=r"1 of 2 rows have no label, the first is stray\.png"):
        read(tmp_path)


def test_other_files_are_left_out_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "cat" / "a.png")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    assert len(read(tmp_path)) == 1
    assert "1 files are no images and were left out, such as cat/notes.txt" in capsys.readouterr().err


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with pytest.raises(InputError, match=r"no images \(\.jpg"):
        read(tmp_path, need=False)


def test_a_split_is_a_directory_of_class_directories(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "cat" / "a.png")
    picture(tmp_path / "test" / "dog" / "a.png")
    labels = read(tmp_path, split="test").labels
    assert labels is not None
    assert labels.tolist() == [1]
    for name in ("dev", "../train", "..", ".", "", "/"):
        with pytest.raises(InputError, match="no directory"):
            read(tmp_path / "test", split=name)


def test_a_class_directory_may_be_a_link_that_the_user_made(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "a.png", 7)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "elsewhere")
    data = read(tmp_path / "data")
    assert len(data) == 1
    assert int(np.asarray(data.examples[0])[0, 0, 0]) == 7


def test_a_damaged_image_is_named_when_it_is_looked_at(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    (tmp_path / "cat" / "b.png").write_text("no image")
    data = read(tmp_path)
    with pytest.raises(InputError, match=r"cat/b\.png: not an image"):
        data.examples[1]


def test_a_folder_has_no_columns(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    with pytest.raises(InputError, match="has no columns"):
        read(tmp_path, columns=Columns(label="label"))
