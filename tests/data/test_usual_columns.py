"""Which columns are taken, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftc.data import Columns, Dataset, load
from ftc.errors import InputError


def read(
    folder: Path, header: str, *, columns: Columns | None = None, pair: bool | None = None, need: bool = False
) -> Dataset:
    names = header.split(",")
    row = ",".join("0" if name.lower() in ("label", "target", "score") else f"<{name}>" for name in names)
    (folder / "a.csv").write_text(f"{header}\n{row}\n")
    return load(
        str(folder / "a.csv"),
        modality="text",
        classes=("no", "yes"),
        columns=columns or Columns(),
        pair=pair,
        need_labels=need,
    )


@pytest.mark.parametrize(
    ("header", "taken", "remark"),
    [
        (
            "sentence,label",
            Columns(text="sentence", label="label"),
            "text = 'sentence', label = 'label'; 1 rows",
        ),
        ("Label,TEXT", Columns(text="TEXT", label="Label"), "text = 'TEXT', label = 'Label'; 1 rows"),
        (
            "title,review,target",
            Columns(text="review", label="target"),
            "text = 'review' (not 'title'), label",
        ),
        ("text,target,label", Columns(text="text", label="label"), "label = 'label' (not 'target')"),
        ("idx,text", Columns(text="text"), "text = 'text', no label column; 1 rows"),
        ("premise,hypothesis,label", Columns("premise", "hypothesis", "label"), "text_pair = 'hypothesis'"),
        ("text,sentence1,sentence2", Columns("sentence1", "sentence2"), "text = 'sentence1', text_pair"),
        ("question,answer", Columns(text="question"), "text = 'question', no label column"),
    ],
)
def test_columns_are_found_by_their_usual_names_and_named_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, taken: Columns, remark: str
) -> None:
    data = read(tmp_path, header)
    assert data.columns == taken
    assert remark in capsys.readouterr().err
    texts = tuple(f"<{name}>" for name in (taken.text, taken.text_pair) if name is not None)
    assert data.examples[0] == (texts if len(texts) == 2 else texts[0])


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("question,answer,label", Columns("question", "answer", "label")),
        ("question,sentence,label", Columns("question", "sentence", "label")),
        ("query,passage", Columns("query", "passage")),
        ("sentence1,sentence2", Columns("sentence1", "sentence2")),
    ],
)
def test_a_checkpoint_that_wants_pairs_gets_more_kinds_of_them(tmp_path: Path, header: str, taken: Columns) -> None:
    assert read(tmp_path, header, pair=True).columns == taken


def test_a_checkpoint_of_single_texts_leaves_the_second_text_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read(tmp_path, "premise,hypothesis", pair=False).examples[0] == "<premise>"
    assert "'hypothesis' is not read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wish", "taken"),
    [
        (Columns(text="body", label="score"), Columns("body", None, "score")),
        (Columns(text="hypothesis", text_pair="body"), Columns("hypothesis", "body", "label")),
        (Columns(text_pair="hypothesis"), Columns("premise", "hypothesis", "label")),
        (Columns(text_pair="body"), Columns("premise", "body", "label")),
        (Columns(text="label"), Columns("label", None, None)),
    ],
)
def test_named_columns_are_taken(tmp_path: Path, wish: Columns, taken: Columns) -> None:
    assert read(tmp_path, "body,premise,hypothesis,score,label", columns=wish).columns == taken


@pytest.mark.parametrize(
    ("header", "wish", "pair", "message"),
    [
        (
            "text,label",
            Columns(text="txt"),
            None,
            r"no column 'txt' \(--text-column\).*did you mean 'text'\?",
        ),
        ("Text,label", Columns(text="text"), None, "did you mean 'Text'"),
        ("text,label", Columns(label="zzz"), None, r"no column 'zzz' \(--label-column\).*'text', 'label'$"),
        ("text,label", Columns(image="text"), None, "--image-column 'text': the checkpoint reads texts"),
        ("text,text2", Columns(text_pair="text2"), False, "the checkpoint reads single texts"),
        ("text,label", Columns(), True, "no column of the second texts of pairs.*'text', 'label'"),
        (
            "A fine film,1",
            Columns(),
            None,
            r"no column of texts found among 'A fine film', '1'[\s\S]*first row",
        ),
        ("text;label", Columns(), None, "separated by semicolons"),
        ("text,text,label", Columns(), None, "several columns are named 'text'"),
    ],
)
def test_columns_that_cannot_be_taken_are_refused(
    tmp_path: Path, header: str, wish: Columns, pair: bool | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, header, columns=wish, pair=pair)


def test_needed_labels_without_a_column_list_what_there_is_and_the_usual_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels found among 'text', 'coarse'\n.*label, labels, .*\n.*--label-column"):
        read(tmp_path, "text,coarse", need=True)


def test_long_values_in_place_of_a_header_are_shortened(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, "x" * 5000)
    assert len(str(refused.value)) < 600
