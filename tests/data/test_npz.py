"""Images and labels in .npz files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftc.data import Columns, Dataset, load
from ftc.errors import InputError

CLASSES = ("cat", "dog")
X = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
Y = np.array([0, 1, 1, 0], dtype=np.uint8)


def read(path: Path, arrays: dict[str, Any], *, need: bool = True, **options: Any) -> Dataset:
    np.savez(path / "a.npz", **arrays)
    return load(str(path / "a.npz"), modality="image", classes=CLASSES, need_labels=need, **options)


def ids(data: Dataset) -> list[int]:
    assert data.labels is not None
    assert data.labels.dtype == np.int64
    return [int(label) for label in data.labels]


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": X, "y": Y},
        {"images": X, "labels": Y},
        {"x": X, "y": Y[:, None]},
        {"x": X, "y": Y.astype(np.float32)},
        {"x": X, "y": np.array(CLASSES)[Y]},
        {"x": X, "y": 1 - Y, "classes": np.array(["dog", "cat"])},  # the file counts its classes otherwise
        {"x": X, "y": Y, "classes": np.array(["Cat", "Dog"])},
        {"x": X, "y": Y, "classes": np.array(["a", "b"])},
        {"x": X, "y": np.array(CLASSES)[Y], "classes": np.array(CLASSES)},
    ],
)
def test_images_and_labels_are_found(tmp_path: Path, arrays: dict[str, Any]) -> None:
    data = read(tmp_path, arrays)
    assert ids(data) == [0, 1, 1, 0]
    assert len(data.examples) == 4
    for image, expected in zip(data.examples, X, strict=True):
        assert np.array_equal(np.asarray(image), expected)
    assert ids(data.head(2)) == [0, 1]


@pytest.mark.parametrize("grey", [X[..., 0], X[..., :1]])
def test_grey_images_get_three_equal_channels(tmp_path: Path, grey: np.ndarray) -> None:
    image = np.asarray(read(tmp_path, {"x": grey, "y": Y}).examples[2])
    assert image.shape == (5, 6, 3)
    assert image.dtype == np.uint8
    assert all(np.array_equal(image[..., channel], X[2, ..., 0]) for channel in range(3))


def test_an_image_handed_out_can_be_changed_without_changing_the_data(tmp_path: Path) -> None:
    data = read(tmp_path, {"x": X, "y": Y})
    image = data.examples[0]
    assert isinstance(image, np.ndarray)
    image[:] = 0
    assert np.array_equal(np.asarray(data.examples[0]), X[0])


def test_names_of_arrays_can_be_given(tmp_path: Path) -> None:
    arrays = {"x": X[::-1], "pictures": X, "kind": Y}
    data = read(tmp_path, arrays, columns=Columns(image="pictures", label="kind"))
    assert np.array_equal(np.asarray(data.examples[0]), X[0])
    assert data.columns == Columns(image="pictures", label="kind")
    with pytest.raises(InputError, match="no array 'z'; the arrays are 'x', 'pictures', 'kind'"):
        read(tmp_path, arrays, columns=Columns(label="z"))


@pytest.mark.parametrize(
    "arrays",
    [
        {"x_train": X[:1], "y_train": Y[:1], "x_test": X, "y_test": Y},
        {"train_images": X[:1], "train_labels": Y[:1], "test_images": X, "test_labels": Y},
    ],
)
def test_a_split_of_a_file_with_several(tmp_path: Path, arrays: dict[str, Any]) -> None:
    assert len(read(tmp_path, arrays, split="test")) == 4
    with pytest.raises(InputError, match="name the split"):
        read(tmp_path, arrays)
    with pytest.raises(InputError, match="no array of images"):
        read(tmp_path, arrays, split="dev")


def test_labels_are_missed_only_where_they_are_needed(tmp_path: Path) -> None:
    assert read(tmp_path, {"x": X}, need=False).labels is None
    with pytest.raises(InputError, match=r"no array of labels \(y, labels, label\) among 'x'; name it with --label"):
        read(tmp_path, {"x": X})


def test_the_fingerprint_is_that_of_pixels_and_labels(tmp_path: Path) -> None:
    one = read(tmp_path, {"x": X, "y": Y}).fingerprint
    assert read(tmp_path, {"y": Y.astype(np.int32), "x": X}).fingerprint == one
    assert read(tmp_path, {"x": X, "y": 1 - Y}).fingerprint != one
    assert read(tmp_path, {"x": X ^ 1, "y": Y}).fingerprint != one
    assert read(tmp_path, {"x": X.reshape(4, 6, 5, 3), "y": Y}).fingerprint != one


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X / 255, "y": Y}, "pixels must be uint8 from 0 to 255, found float64"),
        ({"x": np.moveaxis(X, -1, 1), "y": Y}, r"found \(4, 3, 5, 6\); put the channels last"),
        ({"x": X[0, 0], "y": Y}, r"the shape must be \(N, H, W, 3\) or \(N, H, W\), found \(6, 3\)"),
        ({"x": X[:0], "y": Y[:0]}, "no images in an array of shape"),
        ({"x": X, "y": Y[:3]}, r"one label per image is needed, shape \(4,\), found \(3,\)"),
        ({"x": X, "y": np.eye(2)[Y]}, r"found \(4, 2\); turn one-hot rows into numbers"),
        ({"x": X, "y": Y + 1}, "count from 1"),
        ({"x": X, "y": Y, "classes": np.array(["dog", "horse"])}, "'horse'"),  # 'dog' contradicts the number
        ({"x": X, "y": np.array([{}, 1, 2, 3], dtype=object)}, "array 'y' cannot be read: .*allow_pickle"),
    ],
)
def test_arrays_that_cannot_be_taken_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, arrays)


def test_names_that_the_checkpoint_does_not_know_are_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, {"x": X, "y": Y, "classes": np.array(["a", "b"])})
    assert "caution" in (said := capsys.readouterr().err)
    assert "'a', 'b', the checkpoint 'cat', 'dog'; matched by number" in said
    np.savez(tmp_path / "a.npz", x=X, y=Y, classes=np.array(["a", "b"]))
    load(str(tmp_path / "a.npz"), modality="image", classes=("LABEL_0", "LABEL_1"))
    assert "caution" not in capsys.readouterr().err


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        load(str(path), modality="image", classes=CLASSES)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"no array")
    with pytest.raises(InputError, match="'x' is no array"):
        load(str(path), modality="image", classes=CLASSES)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00")
    with pytest.raises(InputError, match="array 'x' cannot be read"):
        load(str(path), modality="image", classes=CLASSES)
    with pytest.raises(InputError, match="holds images, but the checkpoint reads texts"):
        load(str(path), modality="text", classes=CLASSES)


@pytest.mark.parametrize(
    "head", ["(" * 9000, "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "1" * 40 + ",), }"]
)
def test_a_header_that_cannot_be_true_is_refused(tmp_path: Path, head: str) -> None:
    text = head.encode() + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", member)
    with pytest.raises(InputError, match="array 'x' cannot be read"):
        load(str(tmp_path / "a.npz"), modality="image", classes=("a", "b"))


def test_a_path_too_long_to_exist_is_refused() -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        load("x" * 6000 + ".csv", modality="text", classes=("a", "b"))
