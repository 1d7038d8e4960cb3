"""Labels matched to the checkpoint's classes: all by name or all by number, or refused showing both sides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ftc.data import Dataset, load
from ftc.data.labels import LabelColumn, match
from ftc.errors import InputError


def read(
    folder: Path, values: Sequence[object], classes: Sequence[str], *, need: bool = True, owner: str | None = None
) -> Dataset:
    rows = [json.dumps({"text": f"text {row}", "label": value}) for row, value in enumerate(values)]
    (folder / "a.jsonl").write_text("\n".join(rows))
    return load(str(folder / "a.jsonl"), modality="text", classes=classes, need_labels=need, owner=owner)


@pytest.mark.parametrize(
    ("values", "classes", "ids"),
    [
        (["pos", "neg", "pos"], ["neg", "pos"], [1, 0, 1]),
        (["Pos", "NEG"], ["neg", "pos"], [1, 0]),
        ([" pos", "neg "], ["neg", "pos"], [1, 0]),
        (["A", "a"], ["a", "A"], [1, 0]),
        ([1, 0, 1], ["neg", "pos"], [1, 0, 1]),
        (["1", "0"], ["neg", "pos"], [1, 0]),
        ([1.0, 0.0], ["neg", "pos"], [1, 0]),
        (["1.0", " 0"], ["neg", "pos"], [1, 0]),
        ([True, False], ["neg", "pos"], [1, 0]),
        ([True, False], ["true", "false"], [0, 1]),
        ([1, 2, 5], ["1", "2", "3", "4", "5"], [0, 1, 4]),  # digits are names first
        ([3.0, 1.0], ["1", "2", "3"], [2, 0]),
        (["3", "1"], ["1", "2", "3"], [2, 0]),
        ([0, 2], ["1", "2", "3"], [0, 2]),  # no class is named 0: numbers
        ([-1, 0, 1], ["-1", "0", "1"], [0, 1, 2]),
        ([-1, -1], ["-1", "0", "1"], [0, 0]),
        (["crane", "kite"], ["kite", "kite bird", "crane"], [2, 0]),
    ],
)
def test_labels_are_matched(tmp_path: Path, values: list[object], classes: list[str], ids: list[int]) -> None:
    data = read(tmp_path, values, classes)
    assert data.labels is not None
    assert data.labels.dtype == "int64"
    assert data.labels.tolist() == ids


@pytest.mark.parametrize(
    ("values", "classes", "message"),
    [
        (
            ["pos", "neutral"],
            ["neg", "pos"],
            r"1 of 2 different labels are no classes.*: 'neutral'\n.*'neg', 'pos'",
        ),
        (
            [0, 1, 2],
            ["neg", "pos"],
            r"1 of 3 different labels .*: 2\n.*2 classes are 'neg', 'pos', by number 0 to 1",
        ),
        ([1, 2], ["neg", "pos"], "count from 1, the checkpoint counts from 0"),
        ([0, -1], ["neg", "pos"], "1 of 2 different labels .*: -1\n"),
        ([0.5, 1], ["neg", "pos"], r"0\.5\n"),
        (["pos", 0], ["neg", "pos"], "1 of 2 different labels"),  # one way for the whole file
        (["A"], ["a", "a "], "'A'"),  # ambiguous but for case
        (["crane"], ["crane", "kite", "crane"], "several classes are named 'crane': write numbers"),
        ([10**30], ["neg", "pos"], "1000000000000000000000000000000"),
        (["x" * 5000], ["neg", "pos"], r"'x{60}\.\.\.'"),
        (list("abcdefghijklm"), ["neg"], "13 of 13 .*'a', 'b', .*'j' and 3 more\n"),
        (
            ["x"],
            [f"c{n}" for n in range(77)],
            "its 77 classes are 'c0', .*'c9' and 67 more, by number 0 to 76",
        ),
    ],
)
@pytest.mark.parametrize("need", [True, False])
def test_labels_that_are_no_classes_are_refused(
    tmp_path: Path, values: list[object], classes: list[str], message: str, need: bool
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read(tmp_path, values, classes, need=need)
    assert "column 'label'" in str(refused.value)


@pytest.mark.parametrize("missing", [None, "", " ", float("nan")])
def test_rows_without_a_label_are_counted_and_located(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: object
) -> None:
    values = ["pos", missing, "neg", missing]
    with pytest.raises(InputError, match="2 of 4 rows have no label, the first is line 2"):
        read(tmp_path, values, ["neg", "pos"])
    assert read(tmp_path, values, ["neg", "pos"], need=False).labels is None
    assert "caution: " in capsys.readouterr().err


@pytest.mark.parametrize("values", [[-1, -1], ["-1", "-1"], [None, None], ["", None], [-1, None]])
def test_unlabelled_test_sets_are_read_without_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: list[object]
) -> None:
    assert read(tmp_path, values, ["neg", "pos"], need=False).labels is None
    assert "read without labels" in capsys.readouterr().err
    with pytest.raises(InputError, match="labels are needed"):
        read(tmp_path, values, ["neg", "pos"])


@pytest.mark.parametrize(
    ("values", "classes", "ids"),
    [
        (["sports", "World"], ["Business", "Sports", "World"], [1, 2]),
        ([1, 3, 2], ["1", "2", "3"], [0, 2, 1]),
        (["1.0", "03"], ["1", "2", "3"], [0, 2]),  # the same numbers, however they are written
        ([0, 1], ["0", "1"], [0, 1]),
    ],
)
def test_classes_that_other_data_named_are_matched_by_name(
    tmp_path: Path, values: list[object], classes: list[str], ids: list[int]
) -> None:
    data = read(tmp_path, values, classes, owner="train.csv")
    assert data.labels is not None
    assert data.labels.tolist() == ids


@pytest.mark.parametrize(
    ("values", "classes", "message"),
    [
        (
            [0, 1, 2],
            ["Business", "Sports", "World"],
            "3 of 3 .* do not occur in train.csv: 0, 1, 2\n.*\n.*which number is",
        ),
        ([0, 1, 2], ["1", "2", "3"], "1 of 3 different labels do not occur in train.csv: 0\n"),
        (["sport", "World"], ["Sports", "World"], "'sport'\n.*'Sports', 'World'\n.*correct the labels"),
    ],
)
def test_numbers_of_classes_that_other_data_named_mean_nothing(
    tmp_path: Path, values: list[object], classes: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read(tmp_path, values, classes, owner="train.csv")
    assert "checkpoint" not in str(refused.value)


@pytest.mark.parametrize(
    ("own", "classes", "ids"),
    [
        (["World", "Sports"], ["Sports", "World"], [1, 0]),  # numbers that the source names itself
        (["cat", "dog"], ["0", "1"], [0, 1]),  # names that the other data does not have, but the numbers themselves
        (["cat", "dog"], ["Sports", "World"], None),
    ],
)
def test_names_that_a_source_gives_its_own_numbers(own: list[str], classes: list[str], ids: list[int] | None) -> None:
    column = LabelColumn("test: column 'label'", [0, 1], str, tuple(own))
    if ids is None:
        with pytest.raises(InputError, match="'cat', 'dog'\n"):
            match(column, classes, need=True, owner="train.csv")
    else:
        found = match(column, classes, need=True, owner="train.csv")
        assert found is not None
        assert found.tolist() == ids
