"""Images that a table names or holds: decoded on access as RGB, and never from outside the table's folder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ftc.data import Columns, Dataset, load
from ftc.errors import InputError

CLASSES = ("cat", "dog")


def pixels(seed: int, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def listed(folder: Path, rows: str, name: str = "labels.csv", **options: object) -> Dataset:
    (folder / name).write_text(f"file,label\n{rows}")
    return load(str(folder / name), modality="image", classes=CLASSES, **options)  # type: ignore[arg-type]


def test_files_are_found_beside_the_list_and_in_images(tmp_path: Path) -> None:
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for seed, place in enumerate(["a.png", "images/b.png", "images/deep/c.png"]):
        Image.fromarray(pixels(seed)).save(tmp_path / place)
    data = listed(tmp_path, "a.png,dog\nb.png,cat\ndeep/../deep/c.png,dog\nimages/b.png,cat\n", need_labels=True)
    assert data.columns == Columns(label="label", image="file")
    assert data.labels is not None
    assert data.labels.tolist() == [1, 0, 1, 0]
    for row, seed in enumerate([0, 1, 2, 1]):
        image = data.examples[row]
        assert isinstance(image, np.ndarray)
        assert image.dtype == np.uint8
        assert np.array_equal(image, pixels(seed))
    with pytest.raises(IndexError):
        data.examples[4]


def test_parts_of_lazy_images_keep_their_rows(tmp_path: Path) -> None:
    for seed in range(6):
        Image.fromarray(pixels(seed)).save(tmp_path / f"{seed}.png")
    data = listed(tmp_path, "".join(f"{seed}.png,cat\n" for seed in range(6)))
    part = data.sample(3, seed=0).head(2)
    rows = [next(s for s in range(6) if np.array_equal(image, pixels(s))) for image in part.examples]
    assert rows == sorted(rows)
    assert len(data.examples[2:4]) == 2
    assert np.array_equal(np.asarray(data.examples[2:4][1]), pixels(3))
    assert np.array_equal(np.asarray(data.examples[-1]), pixels(5))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "1", "LA"])
@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "gif", "webp", "bmp"])
def test_every_mode_is_read_as_pillow_converts_it(tmp_path: Path, mode: str, kind: str) -> None:
    converted = Image.fromarray(pixels(0)).convert(mode)
    try:
        converted.save(tmp_path / f"a.{kind}")
    except (OSError, ValueError):
        pytest.skip(f"{kind} cannot hold {mode}")
    with Image.open(tmp_path / f"a.{kind}") as expected:
        found = np.asarray(listed(tmp_path, f"a.{kind},cat\n").examples[0])
        assert np.array_equal(found, np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("kind", ["png", "tif", "pgm"])
def test_grey_in_16_bits_is_scaled_to_8(tmp_path: Path, kind: str) -> None:
    grey = np.array([[0, 128, 129, 257], [255 * 257, 1000, 40000, 65407]], np.uint16)
    Image.fromarray(grey).save(tmp_path / f"a.{kind}")
    found = np.asarray(listed(tmp_path, f"a.{kind},cat\n").examples[0])
    expected = np.array([[0, 0, 1, 1], [255, 4, 156, 255]])  # 0.498 and 0.502; 3.89, 155.64 and 254.502
    assert np.array_equal(found, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_without_a_known_white_are_refused(tmp_path: Path, dtype: type[np.generic]) -> None:
    Image.fromarray(pixels(0)[..., 0].astype(dtype)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"row 1 .*a\.tif: [FI] pixels have no known black and white"):
        listed(tmp_path, "a.tif,cat\n").examples[0]


def test_the_orientation_that_a_camera_noted_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    Image.fromarray(pixels(0)).save(tmp_path / "a.jpg", exif=exif)
    assert np.asarray(listed(tmp_path, "a.jpg,cat\n").examples[0]).shape == (5, 7, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.png", r"row 2 \(line 3\): no image file .*missing\.png or .*images/missing\.png"),
        ("../secret.png", r"row 2 \(line 3\): '\.\./secret\.png' leads out of the data's folder"),
        ("sub/../../secret.png", "leads out of"),
        ("images/../../secret.png", "leads out of"),
        ("..", "leads out of"),
        ("/etc/passwd", "'/etc/passwd' is an absolute path"),
        ("C:/secret.png", "absolute path"),
        ("\\\\host\\share\\a.png", "absolute path"),
        ("", "an image or the name of its file is needed, found nothing"),
        (".", "no image file"),
        ("a\0.png", "no image file"),
        ("x" * 5000, "no image file"),
    ],
)
def test_a_file_that_is_missing_or_outside_is_refused_with_its_row(tmp_path: Path, name: str, message: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    Image.fromarray(pixels(0)).save(tmp_path / "secret.png")
    Image.fromarray(pixels(0)).save(folder / "a.png")
    with pytest.raises(InputError, match=message):
        listed(folder, f"a.png,cat\n{name},dog\n")


def test_a_damaged_image_is_refused_when_it_is_looked_at(tmp_path: Path) -> None:
    Image.fromarray(pixels(0, 64, 64)).save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:4000])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "program.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    data = listed(tmp_path, "a.png,cat\ncut.png,cat\ntext.png,cat\nprogram.png,cat\n")
    assert np.asarray(data.examples[0]).shape == (64, 64, 3)
    for row, name in enumerate(["cut.png", "text.png", "program.png"], 1):
        with pytest.raises(InputError, match=rf"row {row + 1} \(line {row + 2}\).*{name}.*not an image"):
            data.examples[row]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [20, 12])  # Pillow warns above its limit and refuses above twice the limit
def test_images_of_more_pixels_than_pillow_allows_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    Image.fromarray(pixels(0)).save(tmp_path / "a.png")
    data = listed(tmp_path, "a.png,cat\n")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(InputError, match=r"row 1 .*a\.png.*pixels"):
        data.examples[0]


def test_the_fingerprint_is_that_of_the_files_and_labels(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels(0)).save(tmp_path / folder / f"{folder}.png")
    one = listed(tmp_path / "one", "one.png,cat\n").fingerprint
    assert listed(tmp_path / "two", "two.png,cat\n").fingerprint == one
    assert listed(tmp_path / "two", "two.png,dog\n").fingerprint != one
    with (tmp_path / "two" / "two.png").open("ab") as file:
        file.write(b"\0")
    assert listed(tmp_path / "two", "two.png,cat\n").fingerprint != one


def test_a_column_of_encoded_images_is_read_from_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    Image.fromarray(pixels(3)).save(tmp_path / "b.png")
    encoded = io.BytesIO()
    Image.fromarray(pixels(2)).save(encoded, "PNG")
    cells = [{"bytes": encoded.getvalue(), "path": "/gone.png"}, {"bytes": None, "path": "b.png"}]
    pq.write_table(pa.table({"image": cells, "label": [1, 0]}), tmp_path / "a.parquet")
    data = load(str(tmp_path / "a.parquet"), modality="image", classes=CLASSES, need_labels=True)
    assert [np.array_equal(np.asarray(image), pixels(seed)) for image, seed in zip(data.examples, (2, 3), strict=True)]
    pq.write_table(pa.table({"image": [encoded.getvalue(), b"broken"], "label": [1, 0]}), tmp_path / "b.parquet")
    data = load(str(tmp_path / "b.parquet"), modality="image", classes=CLASSES)
    assert np.array_equal(np.asarray(data.examples[0]), pixels(2))
    with pytest.raises(InputError, match="row 2: not an image"):
        data.examples[1]
    pq.write_table(pa.table({"image": [{"bytes": None, "path": "/etc/passwd"}]}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match="absolute path"):
        load(str(tmp_path / "c.parquet"), modality="image", classes=CLASSES)


def test_a_text_column_is_no_wish_of_an_image_checkpoint(tmp_path: Path) -> None:
    Image.fromarray(pixels(0)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="--text-column 'file': the checkpoint reads images"):
        listed(tmp_path, "a.png,cat\n", columns=Columns(text="file"))
