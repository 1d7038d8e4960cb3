"""The files of a checkpoint that say how examples become its inputs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ftc.artifact import sha256

TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
"""Any of these makes a checkpoint one that reads texts."""

PROCESSORS = ("preprocessor_config.json", "processor_config.json")
"""Any of these makes it one that reads images."""

PREPROCESSING = (
    *TOKENIZERS,
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    *PROCESSORS,
)


def has_any(path: Path, names: Sequence[str]) -> bool:
    """Whether a directory holds a file of one of these names."""
    return any((path / name).is_file() for name in names)


def digests(path: Path, weights: Sequence[Path]) -> dict[str, str]:
    """SHA-256, by name, of what makes a checkpoint what it is: its settings, its weights, its preprocessing."""
    files = [path / "config.json", *weights, *(path / name for name in PREPROCESSING)]
    return {file.name: sha256(file) for file in files if file.is_file()}


def carry(source: Path, target: Path) -> None:
    """Copy those that are there from one checkpoint's directory to another's."""
    for name in PREPROCESSING:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
