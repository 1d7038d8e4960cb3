"""Texts that are part of other texts: phrases of sentences, sentences of paragraphs."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from ftc.console import progress, say

if TYPE_CHECKING:
    from ftc.data import Dataset

_MOST_HELD = 1000
"""Texts that are held for each of their words; a text is looked for in those that hold its rarest word."""


def without_fragments(data: Dataset) -> Dataset:
    """The rows whose texts are in no other row, word for word; pairs of texts and images are left as they are.

    What was left out is said. Of equal texts the first stays.
    """
    if not isinstance(data.examples[0], str):
        return data
    texts = [f" {' '.join(str(text).split())} ".casefold() for text in data.examples]
    words = [frozenset(text.split()) for text in texts]
    rows_with = Counter(word for some in words for word in some)
    holding: dict[str, list[str]] = defaultdict(list)
    whole = []
    with progress("looking for texts that are part of others", len(texts)) as advance:
        for row in sorted(range(len(texts)), key=lambda row: -len(texts[row])):
            rarest = min(words[row], key=lambda word: (rows_with[word], word), default="")
            if not any(texts[row] in longer for longer in holding[rarest]):
                whole.append(row)
                for word in words[row]:
                    if len(holding[word]) < _MOST_HELD:
                        holding[word].append(texts[row])
            advance()
    if len(whole) == len(data):
        return data
    say(f"left out of {data.source}, being part of a longer row: {len(data) - len(whole)}")
    return data.part(sorted(whole), "without fragments")
