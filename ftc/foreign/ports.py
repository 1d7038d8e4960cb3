"""What a model file takes and answers, in its own words, and which of it is what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ftc.console import caution
from ftc.errors import InputError

INTEGERS = frozenset({"uint8", "int8", "int16", "uint16", "int32", "int64", "uint32", "uint64"})
FLOATS = frozenset({"float16", "float32", "float64"})

_ORDER = ("input_ids", "attention_mask", "token_type_ids")
"""How transformers' models take them, and so how a tracer numbers them that drops their names."""

_MEANINGS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("attention_mask", lambda name: "mask" in name),
    ("token_type_ids", lambda name: "type" in name or "segment" in name),
    ("input_ids", lambda name: "ids" in name or "word" in name or "token" in name),
)

_ANSWERS = frozenset({"logits", "probabilities"})


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a file.

    :param dtype: by numpy's name
    :param shape: None for what the file leaves open
    :param scale: of quantized values, ``value = scale * (stored - zero_point)``; None where they are stored as such
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    scale: float | None = None
    zero_point: int = 0

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.dtype} ({sizes})"


@dataclass(frozen=True, slots=True)
class Contents:
    """A model file as it was read.

    :param files: everything it consists of, the named file first
    """

    files: tuple[Path, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def modality(path: Path, contents: Contents) -> Literal["text", "image"]:
    """What a file takes: one tensor of four dimensions is an image, integers in rows are texts.

    :raises InputError: if it takes neither
    """
    ranks = {len(port.shape) for port in contents.inputs}
    if ranks == {4} and len(contents.inputs) == 1:
        return "image"
    if ranks == {2} and len(contents.inputs) <= len(_ORDER):
        return "text"
    raise InputError(
        f"{path} takes {listed(contents.inputs)}; of files made elsewhere ftc takes image classifiers, with one input "
        "(batch, height, width, 3) or (batch, 3, height, width), and text classifiers, with input_ids and possibly "
        "attention_mask and token_type_ids (batch, length)."
    )


def text_inputs(path: Path, inputs: Sequence[Port]) -> dict[str, Port]:
    """The inputs of a text classifier by what they mean, in the file's order.

    By name; where no name says anything, in the order in which transformers' models take them.

    :raises InputError: if the names of only some say what they are, or two say the same
    """
    meanings = [_meaning(port.name) for port in inputs]
    if not any(meanings):
        meanings = list(_ORDER[: len(inputs)])
        if len(inputs) > 1:
            pairs = ", ".join(f"{port.name} as {name}" for port, name in zip(inputs, meanings, strict=True))
            caution(f"{path}: the names of its inputs do not say what they are; taken in their order: {pairs}.")
    found = {name: port for name, port in zip(meanings, inputs, strict=True) if name is not None}
    if len(found) < len(inputs) or "input_ids" not in found:
        raise InputError(
            f"{path} takes {listed(inputs)}, of which ftc cannot tell what they are. "
            f"Export it again with inputs named {', '.join(_ORDER)}."
        )
    return found


def _meaning(name: str) -> str | None:
    return next((meaning for meaning, says in _MEANINGS if says(name.lower())), None)


def answer(path: Path, outputs: Sequence[Port], classes: int) -> Port:
    """The output that holds a number for each class: the one named so, or the only one of that shape.

    :raises InputError: if there is none, or several; the message names a background class if that is the difference
    """
    named = [port for port in outputs if _plain(port.name) in _ANSWERS]
    flat = named if len(named) == 1 else [port for port in outputs if len(port.shape) == 2]
    fitting = [port for port in flat if port.shape[-1] in (None, classes)]
    if len(fitting) == 1:
        return fitting[0]
    if any(port.shape[-1] == classes + 1 for port in flat):
        raise InputError(background(path, classes))
    what = "several" if fitting else "no"
    raise InputError(
        f"{path} answers {listed(outputs)}: {what} output of shape (batch, {classes}), one number for each of the "
        f"{classes} labels. Give the labels it was trained with, or export it with one such output named logits."
    )


def background(path: Path, classes: int) -> str:
    """What to say of a file that has one class more than there are labels."""
    return (
        f"{path} answers {classes + 1} numbers for {classes} labels: it seems to have a background class, as some "
        "models of TensorFlow have in front. Give --labels FILE with a name for each output, 'background' included."
    )


def listed(ports: Sequence[Port]) -> str:
    """Inputs or outputs for a message."""
    return ", ".join(map(str, ports[:6])) + (", ..." if len(ports) > 6 else "") if ports else "nothing"


def _plain(name: str) -> str:
    """A name without what TensorFlow puts around it, as in ``serving_default_logits:0``."""
    return name.removeprefix("serving_default_").partition(":")[0].lower()


def numbers(path: Path, ports: Mapping[str, Port] | Sequence[Port], kinds: frozenset[str]) -> None:
    """:raises InputError: if one of the ports holds something else than such numbers"""
    for port in ports.values() if isinstance(ports, Mapping) else ports:
        if port.dtype not in kinds:
            raise InputError(
                f"{path}: {port} holds values that ftc does not convert to; it knows {', '.join(sorted(kinds))}."
            )
