"""Texts that no row holds, for a teacher to answer: the beginning of one row with the end of another."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ftc.errors import InputError

if TYPE_CHECKING:
    from ftc.data import Dataset

_SPLICED = 0x53504C49
"""Makes of a seed another stream of random numbers than other draws have."""

_MOST = 100_000
"""Texts that are made; more than trainings of hours see."""


def is_single_text(data: Dataset) -> bool:
    """Whether rows are texts, not pairs of them or images."""
    return isinstance(data.examples[0], str)


def with_splices(data: Dataset, times: int, seed: int) -> Dataset:
    """The rows, without their labels, and for each of them `times` made-up texts, at most 100,000 in all.

    Each begins as its row does and ends as a row that is drawn does, by a word of either at the least: a mere part of
    its row may be among those that judge. Both cuts are anywhere, between two words, or in texts without spaces between
    two letters. What such a text means nobody has said: it is for a teacher to answer.

    :raises InputError: if the rows are pairs or images
    """
    if times == 0:
        return data
    if not is_single_text(data):
        raise InputError(
            f"--augment {times} splices single texts, and {data.source} holds pairs or images: leave it out."
        )
    texts = [text for text in (str(text).strip() for text in data.examples) if text]
    random = np.random.default_rng((seed, _SPLICED))
    made = []
    for number in range(min(times * len(texts), _MOST)):
        first, second = texts[number % len(texts)], texts[random.integers(len(texts))]
        made.append(_spliced(first, second, *random.random(2)))
    spliced = (*data.examples, *made)
    return replace(data, examples=spliced, labels=None, fingerprint=f"{data.fingerprint}:spliced={times},seed={seed}")


def _spliced(first: str, second: str, cut_first: float, cut_second: float) -> str:
    """The beginning of one text with the end of another, each cut at a part (0-1) of the places where it may be."""
    begins, ends = _cuts(first)[1:], _cuts(second)[:-1]
    beginning = first[: begins[int(cut_first * len(begins))]].strip()
    end = second[ends[int(cut_second * len(ends))] :].strip()
    between = " " if beginning and end and (" " in first or " " in second) else ""
    return beginning + between + end


def _cuts(text: str) -> list[int] | range:
    """Where a text may be cut."""
    spaces = [found.start() for found in re.finditer(r"\s+", text)]
    return [0, *spaces, len(text)] if spaces else range(max(2, len(text) + 1))
