"""How texts become the inputs of a model file that holds no tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc.console import say
from ftc.errors import InputError
from ftc.foreign.ports import FLOATS, INTEGERS, Contents, Port, listed, numbers, text_inputs
from ftc.preprocessing import MAX_TOKENS, TextPreprocessing

if TYPE_CHECKING:
    from ftc.declared import Declared

TOKENIZER_FILE = "tokenizer.json"

_USUAL_LENGTH = 512
"""Tokens that BERT and its kin take, where nothing says a limit."""

_PADDING_TOKENS = ("[PAD]", "<pad>")


@dataclass(frozen=True, slots=True)
class Texts:
    """:param tokenizer: the `tokenizer.json`
    :param ports: the file's inputs by the tokenizer's names
    :param length: tokens that every input must have; None where the file leaves it open
    """

    preprocessing: TextPreprocessing
    tokenizer: Path
    ports: Mapping[str, Port]
    length: int | None


def texts(path: Path, contents: Contents, declared: Declared) -> Texts:
    """How texts become a file's inputs, from what was declared or a tokenizer beside it.

    :raises InputError: if there is no tokenizer, its padding is not known, or an input's meaning is not
    """
    ports = text_inputs(path, contents.inputs)
    numbers(path, ports, INTEGERS | FLOATS)
    lengths = {port.shape[1] for port in ports.values()}
    if len(lengths) > 1:
        raise InputError(f"{path} takes {listed(contents.inputs)}: inputs of different lengths.")
    length = lengths.pop()
    tokenizer = _tokenizer(path, declared.tokenizer)
    if declared.preprocessing is None:
        preprocessing = _of_tokenizer(tokenizer, length)
    elif isinstance(declared.preprocessing, TextPreprocessing):
        preprocessing = declared.preprocessing
    else:
        raise InputError(f"{path} takes texts; what was declared prepares images.")
    longest = min(preprocessing.max_length, length or MAX_TOKENS)
    return Texts(replace(preprocessing, inputs=tuple(ports), max_length=longest), tokenizer, ports, length)


def _tokenizer(path: Path, declared: Path | None) -> Path:
    given = declared if declared is not None else path.parent
    file = given / TOKENIZER_FILE if given.is_dir() else given
    if not file.is_file():
        where = f"--tokenizer {given}" if declared is not None else str(path)
        raise InputError(
            f"{where}: there is no {TOKENIZER_FILE}{'' if declared is not None else ' beside it'}. Give --tokenizer "
            "with that file or a directory that holds it; tokenizer.save_pretrained('directory') writes it."
        )
    if declared is None:
        say(f"tokenizer from {file}")
    return file.resolve()


def _of_tokenizer(file: Path, length: int | None) -> TextPreprocessing:
    described, settings = _json(file), {}
    if (file.parent / "tokenizer_config.json").is_file():
        settings = _json(file.parent / "tokenizer_config.json")
    padding, truncation = described.get("padding") or {}, described.get("truncation") or {}
    limits = [settings.get("model_max_length"), truncation.get("max_length"), length]
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < MAX_TOKENS]
    if not known:
        say(f"{file} names no longest text; taken as {_USUAL_LENGTH} tokens")
    side = str(settings.get("padding_side") or padding.get("direction") or "right").lower()
    cut = str(settings.get("truncation_side") or truncation.get("direction") or "right").lower()
    return TextPreprocessing(
        max_length=min(known, default=_USUAL_LENGTH),
        pad_token_id=_padding_id(file, described, padding, settings),
        pad_token_type_id=int(settings.get("pad_token_type_id") or padding.get("pad_type_id") or 0),
        padding_side="left" if side == "left" else "right",
        truncation_side="left" if cut == "left" else "right",
        inputs=("input_ids",),
    )


def _padding_id(
    file: Path, described: Mapping[str, Any], padding: Mapping[str, Any], settings: Mapping[str, Any]
) -> int:
    if isinstance(padding.get("pad_id"), int):
        return int(padding["pad_id"])
    named = settings.get("pad_token")
    wanted = (named.get("content") if isinstance(named, dict) else named,) if named else _PADDING_TOKENS
    added = {token.get("content"): token.get("id") for token in described.get("added_tokens") or ()}
    for token in wanted:
        if isinstance(added.get(token), int):
            return int(added[token])
    raise InputError(
        f"{file}: nothing says which token pads (looked for {', '.join(map(str, wanted))} among its added tokens). "
        "Set a padding token and save the tokenizer again."
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{file} is no JSON that can be read: {str(error)[:200]}.") from error
    if not isinstance(value, dict):
        raise InputError(f"{file} must hold a JSON object, it holds {type(value).__name__}.")
    return value
