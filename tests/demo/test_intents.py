"""The demo's sentences: reproducible, split cleanly, balanced, and never empty however they are mistyped."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftc.demo.grammar import AMBIGUOUS, CLOSERS, INTENTS, OPENERS, SLOTS, STORIES
from ftc.demo.intents import LABELS, Row, expanded, generate, typed, typo, write

SIZES = {"train": 600, "dev": 120, "test": 240}
TEMPLATES = [
    *(template for templates in INTENTS.values() for template in templates),
    *(template for template, _ in AMBIGUOUS),
    *STORIES,
    *OPENERS,
    *CLOSERS,
]


def plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().lower()


def test_the_same_seed_gives_the_same_sentences() -> None:
    assert generate(SIZES, seed=3) == generate(SIZES, seed=3)


def test_another_seed_gives_other_sentences() -> None:
    assert generate(SIZES, seed=3) != generate(SIZES, seed=4)


def test_sizes_are_as_asked_for_and_labels_balanced() -> None:
    for name, rows in generate(SIZES).items():
        assert len(rows) == SIZES[name]
        assert set(Counter(row.label for row in rows).values()) == {SIZES[name] // len(LABELS)}


def test_no_sentence_occurs_twice_in_or_across_splits() -> None:
    texts = [plain(row.text) for rows in generate(SIZES).values() for row in rows]
    assert len(set(texts)) == len(texts)


def test_telling_words_are_shared_by_several_intents() -> None:
    splits = generate(SIZES)
    intents_of_word: dict[str, set[str]] = {}
    for row in splits["train"]:
        for word in plain(row.text).split():
            intents_of_word.setdefault(word, set()).add(row.label)
    for word in ("order", "card", "flight", "account"):
        assert len(intents_of_word[word]) >= 4, word


def test_csv_files_hold_the_sentences_as_they_are(tmp_path: Path) -> None:
    splits = {"train": (*generate({"train": 60})["train"], Row('so, "what\'s" my\nbalance', "check_balance"))}
    write(splits, tmp_path)
    with (tmp_path / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"text": row.text, "label": row.label} for row in splits["train"]]


def test_ambiguous_sentences_name_intents_that_exist() -> None:
    for template, labels in AMBIGUOUS:
        assert len(labels) > 1, template
        assert set(labels) <= set(INTENTS), template


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_expands_completely(template: str) -> None:
    assert set(re.findall(r"\{(\w+)\}", template)) <= set(SLOTS)
    for seed in range(20):
        text = expanded(template, Random(seed))
        assert text
        assert not re.search(r"[\[\]{}|#]", text)


@given(word=st.text(max_size=12), seed=st.integers(0, 2**32))
def test_a_typo_changes_one_place_and_never_empties_a_word(word: str, seed: int) -> None:
    mistyped = typo(word, Random(seed))
    assert bool(mistyped) == bool(word)
    assert abs(len(mistyped) - len(word)) <= 1
    if len(word) < 4:
        assert mistyped == word


@given(text=st.text(min_size=1, max_size=60), seed=st.integers(0, 2**32))
def test_typing_never_empties_a_sentence(text: str, seed: int) -> None:
    assert typed(text, Random(seed))
