"""Sentences from the grammar, with the noise of real typing, in three files that share none."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from random import Random

from ftc.demo.grammar import AMBIGUOUS, CLOSERS, HESITATIONS, INTENTS, OPENERS, SLOTS, STORIES

LABELS = tuple(sorted(INTENTS))
SPLITS: Mapping[str, int] = {"train": 3000, "dev": 300, "test": 600}
"""Sentences in each file; every intent gets an equal share."""

AMBIGUOUS_SHARE = 0.09
STORY_SHARE = 0.4
OPENER_SHARE = 0.35
CLOSER_SHARE = 0.35
HESITATION_SHARE = 0.15
TYPO_SHARE = 0.06
"""Of the words of four and more letters; the other shares are of the sentences."""

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE = {key: beside for row in _KEYBOARD for key, beside in pairwise(row)}


@dataclass(frozen=True, slots=True)
class Row:
    """One sentence and what its writer wanted."""

    text: str
    label: str


def generate(sizes: Mapping[str, int] = SPLITS, seed: int = 0) -> dict[str, tuple[Row, ...]]:
    """Sentences for each split: the same ones for the same sizes and seed, and none in two splits.

    Two sentences count as the same when they differ in nothing but noise, capitals and punctuation.

    :param sizes: name of a split -> its number of sentences
    """
    random = Random(seed)
    seen: set[str] = set()

    def rows(size: int) -> tuple[Row, ...]:
        return tuple(_new(LABELS[number % len(LABELS)], random, seen) for number in range(size))

    return {name: rows(size) for name, size in sizes.items()}


def write(splits: Mapping[str, tuple[Row, ...]], directory: Path) -> None:
    """Write one CSV file per split, with the columns `text` and `label`."""
    for name, rows in splits.items():
        with (directory / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("text", "label"))
            writer.writerows((row.text, row.label) for row in rows)


def _new(label: str, random: Random, seen: set[str]) -> Row:
    for _ in count():
        plain = sentence(label, random)
        key = re.sub(r"\W+", " ", plain)
        if key not in seen:
            seen.add(key)
            return Row(typed(plain, random), label)
    raise AssertionError("unreachable: the grammar gives millions of sentences")


def sentence(label: str, random: Random) -> str:
    """One sentence for an intent as it was meant, in lower case but for names and without noise."""
    template = random.choice(INTENTS[label])
    unclear = [template for template, labels in AMBIGUOUS if label in labels]
    if unclear and random.random() < AMBIGUOUS_SHARE:
        template = random.choice(unclear)
    parts = [template]
    if random.random() < STORY_SHARE:
        parts.insert(random.choice((0, 0, 1)), random.choice(STORIES))
    if random.random() < OPENER_SHARE:
        parts.insert(0, random.choice(OPENERS))
    if random.random() < CLOSER_SHARE:
        parts.append(random.choice(CLOSERS))
    joined = "".join(part + random.choice((", ", ". ", " - ", " ")) for part in parts[:-1]) + parts[-1]
    return expanded(joined, random)


def expanded(template: str, random: Random) -> str:
    """A template with its alternatives, slots and digits chosen."""
    text = _CHOICE.sub(lambda match: random.choice(match[1].split("|")), template)
    text = _SLOT.sub(lambda match: random.choice(SLOTS[match[1]]), text)
    text = re.sub("#", lambda _: random.choice("123456789"), text)
    return re.sub(r"\s+", " ", text).strip()


def typed(text: str, random: Random) -> str:
    """A sentence as it is typed: with hesitations, typos, capitals and punctuation by chance."""
    words = text.split(" ")
    if len(words) > 2 and random.random() < HESITATION_SHARE:
        words.insert(random.randrange(1, len(words)), random.choice(HESITATIONS))
    words = [typo(word, random) if random.random() < TYPO_SHARE else word for word in words]
    text = " ".join(words)
    style = random.random()
    if style < 0.4:
        return text.lower()
    if style < 0.43:
        return text.upper()
    return text[:1].upper() + text[1:] + random.choice(("", ".", "?", "?", "!", "..."))


def typo(word: str, random: Random) -> str:
    """A word of four and more letters with two swapped, or one dropped, doubled or missed; others as is."""
    if len(word) < 4 or not word.isalpha():
        return word
    at = random.randrange(1, len(word) - 1)
    kind = random.choice(("swap", "drop", "double", "beside"))
    if kind == "swap":
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "drop":
        return word[:at] + word[at + 1 :]
    if kind == "double":
        return word[:at] + word[at] + word[at:]
    return word[:at] + _BESIDE.get(word[at], word[at]) + word[at + 1 :]
