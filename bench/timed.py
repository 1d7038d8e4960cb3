"""The examples that are timed: a fixed random sample of the user's own, the same for every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from bench import plan
from ftc import golden
from ftc.artifact import Artifact
from ftc.console import caution
from ftc.data import Dataset, Example
from ftc.measurement import Form
from ftc.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Timed:
    """:param lengths: median and longest, as `Task.length` counts
    :param batches: rows of `examples` that make up each full batch
    """

    examples: tuple[Example, ...]
    lengths: tuple[int, int]
    batches: tuple[tuple[int, ...], ...]


def form(example: Example) -> Form:
    """What a row is: one text, a pair of texts, or an image."""
    if isinstance(example, str):
        return "text"
    return "pair" if isinstance(example, tuple) else "image"


def draw(candidates: Sequence[Artifact], task: Task, data: Dataset | None, batch_size: int, seed: int) -> Timed:
    """Draw the examples and group them into batches; without data the golden examples are taken."""
    if data is not None:
        examples = tuple(data.sample(plan.TIMED_EXAMPLES, seed).examples)
    else:
        caution(
            "no --data: accuracy is not measured, and latency only on a few built-in examples whose lengths "
            "or sizes are not those of your data."
        )
        made = next((artifact for artifact in candidates if not artifact.manifest.is_root), None)
        examples = tuple(golden.read(made.path).examples if made is not None else task.golden_examples())
    lengths = [task.length(example) for example in examples]
    return Timed(examples, (median_low(lengths), max(lengths)), plan.grouped(lengths, batch_size))
