"""Files that name the classes of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftc.declared import read_labels
from ftc.errors import InputError


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("labels.txt", "cat\n\ndog\n", "empty label at line 2"),
        ("labels.txt", "cat\n", "names 1"),
        ("labels.json", '{"0": "cat", "2": "dog"}', "without gaps"),
        ("labels.json", '{"0": "cat",', "not valid JSON"),
        ("labels.json", "[1, 2]", "a list of names"),
    ],
)
def test_label_files_that_say_nothing_clear(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        read_labels(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "crane\nheron\ncrane\n"),
        ("labels.json", '["crane", "heron", "crane"]'),
        ("labels.json", '{"2": "crane", "1": "heron", "0": "crane"}'),
        ("config.json", '{"model_type": "x", "id2label": {"0": "crane", "1": "heron", "2": "crane"}}'),
    ],
)
def test_label_files(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_labels(tmp_path / name) == ("crane (0)", "heron", "crane (2)")
