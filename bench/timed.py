"""The examples that are timed: a fixed random sample of the user's own, the same for every candidate."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low

from bench import plan
from ftc import golden
from ftc.artifact import Artifact
from ftc.console import caution
from ftc.data import Dataset, Example
from ftc.errors import InputError
from ftc.measurement import Cell, Form
from ftc.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Timed:
    """:param examples: those of the data, then those made for cells of a fixed length
    :param own: how many are the data's
    :param lengths: median and longest of the data's own, as `Task.length` counts
    :param cells: for each cell its batches, and for each of these the rows of `examples`
    :param offered: in the Offline scenario, the batches of each size that a candidate may choose, all of the same rows
    """

    examples: tuple[Example, ...]
    own: int
    lengths: tuple[int, int]
    cells: tuple[tuple[tuple[int, ...], ...], ...]
    offered: Mapping[int, tuple[tuple[int, ...], ...]]


OFFLINE_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes that are tried in the Offline scenario; each divides `plan.TIMED_EXAMPLES`."""

_TRIES = 50
"""Texts begun for each that is wanted; most words are one token, so most beginnings end at the right length."""


def form(example: Example) -> Form:
    """What a row is: one text, a pair of texts, or an image."""
    if isinstance(example, str):
        return "text"
    return "pair" if isinstance(example, tuple) else "image"


def draw(candidates: Sequence[Artifact], task: Task, data: Dataset | None, cells: Sequence[Cell], seed: int) -> Timed:
    """Draw the examples and group them into the batches of each cell; without data the golden examples are taken.

    :raises InputError: if texts of a cell's length cannot be made
    """
    if data is not None:
        examples = list(data.sample(plan.TIMED_EXAMPLES, seed).examples)
    else:
        caution(
            "no --data: accuracy is not measured, and latency only on a few built-in examples whose lengths "
            "or sizes are not those of your data."
        )
        made = next((artifact for artifact in candidates if not artifact.manifest.is_root), None)
        examples = list(golden.read(made.path).examples if made is not None else task.golden_examples())
    own = len(examples)
    lengths = [task.length(example) for example in examples]
    rows: dict[int | None, range] = {None: range(own)}
    for length in dict.fromkeys(cell.length for cell in cells if cell.length is not None):
        rows[length] = range(len(examples), len(examples) + own)
        examples += of_length(task, examples[:own], length)
    batches = []
    offered = {}
    for cell in cells:
        if cell.batch_size is None:
            # every size divides these: filled up with some, batches of one size would hold easier rows than another's
            repeated = [row % own for row in range(plan.TIMED_EXAMPLES)]
            offered = {size: _grouped(task, examples, repeated, size) for size in OFFLINE_SIZES if size <= own}
            batches.append(_grouped(task, examples, repeated, 1))
        else:
            batches.append(_grouped(task, examples, rows[cell.length], cell.batch_size))
    return Timed(tuple(examples), own, (median_low(lengths), max(lengths)), tuple(batches), offered)


def _grouped(task: Task, examples: Sequence[Example], rows: Sequence[int], size: int) -> tuple[tuple[int, ...], ...]:
    """Batches of these rows of the examples."""
    batches = plan.grouped([task.length(examples[row]) for row in rows], size)
    return tuple(tuple(rows[place] for place in batch) for batch in batches)


def of_length(task: Task, examples: Sequence[Example], length: int) -> list[Example]:
    """As many texts of just so many tokens, made of the words of the given ones.

    :raises InputError: if that cannot be done
    """
    texts = [text for text in examples if isinstance(text, str)]
    if len(texts) < len(examples):
        raise InputError("--lengths is for single texts: pairs and images are timed as they are.")
    words = itertools.cycle(word for text in texts for word in text.split())
    made: list[Example] = []
    for _ in range(_TRIES * len(texts)):
        text = next(words)
        while task.length(text) < length:
            longer = f"{text} {next(words)}"
            if task.length(longer) == task.length(text):
                raise InputError(f"--lengths {length}: this model cuts texts at {task.length(text)} tokens.")
            text = longer
        if task.length(text) == length:
            made.append(text)
        if len(made) == len(texts):
            return made
    raise InputError(f"--lengths {length}: the words of the data make no text of just so many tokens.")
