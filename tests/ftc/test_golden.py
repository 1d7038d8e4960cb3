"""Golden examples read back, or refused with a reason: the archive may come from anywhere."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from ftc import golden
from ftc.errors import InputError
from ftc.golden import Golden

ANSWERS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)
PLAIN = {
    "text_000": np.array(["one"]),
    "text_001": np.array(["two", "three"]),
    "image_002": np.zeros((4, 5, 3), np.uint8),
    "of_root": ANSWERS,
    "expected": ANSWERS,
}


def archive(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def flipped(content: bytes) -> bytes:
    """Bits turned over in the first member."""
    return content[:60] + bytes(byte ^ 0xFF for byte in content[60:200]) + content[200:]


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    examples = ("one", ("two", ""), np.arange(60, dtype=np.uint8).reshape(4, 5, 3))
    golden.write(Golden(examples, ANSWERS, ANSWERS + 1), tmp_path)
    read = golden.read(tmp_path)
    assert sorted(map(str, read.examples)) == sorted(map(str, examples))
    assert np.array_equal(read.of_root, ANSWERS)
    assert np.array_equal(read.expected, ANSWERS + 1)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"PK\x03\x04" + b"\0" * 100, id="no zip"),
        pytest.param(archive(**PLAIN)[:700], id="truncated"),
        pytest.param(flipped(archive(**PLAIN)), id="bits turned over"),
        pytest.param(saved(ANSWERS), id="one array"),
        pytest.param(archive(of_root=ANSWERS, expected=ANSWERS), id="no examples"),
        pytest.param(archive(**PLAIN | {"expected": np.array([{}], dtype=object)}), id="objects"),
        pytest.param(archive(**PLAIN | {"expected": ANSWERS[:2]}), id="fewer answers"),
        pytest.param(archive(**PLAIN | {"expected": ANSWERS[:, :1]}), id="narrower answers"),
        pytest.param(archive(**PLAIN | {"expected": ANSWERS[:, 0]}), id="flat answers"),
        pytest.param(archive(**PLAIN | {"expected": ANSWERS.astype(str)}), id="words for answers"),
        pytest.param(archive(**PLAIN | {"expected": ANSWERS * np.float32("nan")}), id="not finite"),
        pytest.param(archive(**PLAIN | {"text_000": np.array("one")}), id="text without an axis"),
        pytest.param(archive(**PLAIN | {"text_000": np.array([], dtype=str)}), id="text of no parts"),
        pytest.param(archive(**PLAIN | {"text_000": np.array(["a", "b", "c"])}), id="text of three parts"),
        pytest.param(archive(**PLAIN | {"text_000": np.array([1, 2])}), id="numbers for a text"),
        pytest.param(archive(**PLAIN | {"image_002": np.zeros((4, 5), np.uint8)}), id="grey image"),
        pytest.param(archive(**PLAIN | {"image_002": np.zeros((4, 0, 3), np.uint8)}), id="empty image"),
        pytest.param(archive(**{name: PLAIN[name] for name in PLAIN if name != "of_root"}), id="no root"),
    ],
)
def test_anything_else_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / golden.FILE_NAME).write_bytes(content)
    with pytest.raises(InputError, match=r"golden\.npz: the golden examples cannot be read \(.+\)\. Make"):
        golden.read(tmp_path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        golden.read(tmp_path)
