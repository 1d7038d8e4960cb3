"""What a user says of a model whose own files do not say it: its task, its labels, how its inputs are prepared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ftc.console import say
from ftc.errors import InputError
from ftc.manifest import TOKENIZER

if TYPE_CHECKING:
    from ftc.manifest import Manifest
    from ftc.preprocessing import ImagePreprocessing, TextPreprocessing

_LABEL_FILES = ("labels.txt", "labels.json", "config.json")

SELF_DESCRIBED = frozenset({"huggingface"})
"""Formats of checkpoints whose own files name labels and preprocessing."""


@dataclass(frozen=True, slots=True)
class Declared:
    """:param task: overrides the task that the model itself implies
    :param labels: names of the classes, in the order of the model's outputs
    :param processor: a `preprocessor_config.json`, a directory that holds one, or the name of a convention
    :param tokenizer: the `tokenizer.json` of a text model, or a directory that holds it
    :param preprocessing: the values themselves, where an artifact of the same model is at hand
    """

    task: str | None = None
    labels: tuple[str, ...] | None = None
    processor: str | None = None
    tokenizer: Path | None = None
    preprocessing: TextPreprocessing | ImagePreprocessing | None = None

    @classmethod
    def of_root(cls, manifest: Manifest) -> Self:
        """What opens the root of an artifact's lineage again, with no side file and no option."""
        if manifest.lineage[0].format in SELF_DESCRIBED:
            return cls(task=manifest.task)
        named = manifest.run.session_config.get(TOKENIZER)
        tokenizer = Path(named) if named is not None else None
        return cls(manifest.task, manifest.labels, tokenizer=tokenizer, preprocessing=manifest.preprocessing)

    def only_task(self, path: Path, what: str) -> None:
        """Refuse declarations that a model's own files make already; a task alone is let through.

        :param what: what the path is, such as ``a Hugging Face checkpoint``
        :raises InputError: if anything but a task was declared
        """
        given = [f.name for f in fields(self) if f.name != "task" and getattr(self, f.name) is not None]
        if given:
            raise InputError(
                f"{path} is {what}, which has its own labels and preprocessing: leave out "
                f"{', '.join(f'--{name}' for name in given)}."
            )


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels in a file: text with one on each line, or JSON with a list or a map from number to name.

    A JSON object may also hold that map as its `id2label`, as `config.json` of a checkpoint does.

    :raises InputError: if it cannot be read, numbers have gaps, or it names fewer than two labels
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"labels: {path} cannot be read as text: {why}.") from error
    names = _of_json(path, text) if path.suffix == ".json" else [line.strip() for line in text.rstrip().splitlines()]
    if not all(names):
        raise InputError(f"labels: {path} has an empty label at line {names.index('') + 1}; its place counts.")
    if len(names) < 2:
        raise InputError(f"labels: {path} names {len(names)}; a classifier needs at least two, one on each line.")
    return unambiguous(names)


def labels_beside(path: Path) -> tuple[str, ...]:
    """The labels in a file beside a model, or within its directory.

    :raises InputError: if there is none; the message says how to give them
    """
    beside = path if path.is_dir() else path.parent
    for name in _LABEL_FILES:
        file = beside / name
        if file.is_file() and (name != "config.json" or _has_id2label(file)):
            say(f"labels from {file}")
            return read_labels(file)
    raise InputError(
        f"{path} does not say what its classes are called, and there is no {', '.join(_LABEL_FILES[:2])} beside it. "
        "Give --labels FILE: text with one name on each line in the order of the outputs, or JSON with a list or an "
        "id2label map."
    )


def _has_id2label(file: Path) -> bool:
    try:
        return "id2label" in json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, TypeError):
        return False  # some other program's settings


def unambiguous(names: Sequence[str]) -> tuple[str, ...]:
    """Labels by which classes can be told apart: those that occur twice get their number."""
    # ImageNet has two classes called "crane": answers and scores by name would mix them up
    repeated = {name for name, times in Counter(names).items() if times > 1}
    return tuple(f"{name} ({number})" if name in repeated else name for number, name in enumerate(names))


def _of_json(path: Path, text: str) -> list[str]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"labels: {path} is not valid JSON: {error}.") from error
    if isinstance(value, dict):
        value = value.get("id2label", value)
    if isinstance(value, dict):
        try:
            value = [value[str(number)] for number in range(len(value))]
        except KeyError as error:
            raise InputError(
                f"labels: {path} must number its labels from 0 without gaps; {error} is missing."
            ) from error
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError(
            f"labels: {path} must hold a list of names, or a map from number to name such as "
            '{"0": "cat", "1": "dog"}.'
        )
    return value
