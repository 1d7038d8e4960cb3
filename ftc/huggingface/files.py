"""The files of a checkpoint that say how examples become its inputs."""

from __future__ import annotations

import shutil
from pathlib import Path

PREPROCESSING = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "preprocessor_config.json",
    "processor_config.json",
)


def carry(source: Path, target: Path) -> None:
    """Copy those that are there from one checkpoint's directory to another's."""
    for name in PREPROCESSING:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
