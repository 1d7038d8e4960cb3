"""Whether a model is a convolutional one: these want static INT8, other operators quantized, and channels pruned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ftc.checkpoint import with_operations

if TYPE_CHECKING:
    from ftc.artifact import Artifact

CONVOLUTIONAL_SHARE = 0.5
"""Above this share of multiply-accumulates in convolutions a model is treated as convolutional."""


def is_convolutional(source: Artifact) -> bool:
    """Whether convolutions do most of the work."""
    facts = source.manifest.facts
    if facts.convolution_share is None and source.manifest.is_root:
        facts = with_operations(source).manifest.facts
    return (facts.convolution_share or 0.0) > CONVOLUTIONAL_SHARE


def has_attention(source: Artifact) -> bool:
    """Whether a Hugging Face checkpoint is a transformer.

    ConvNeXt is none, though linear layers do most of its work.
    """
    config = json.loads((source.path / "config.json").read_text(encoding="utf-8"))
    return source.manifest.preprocessing.kind == "text" or any("_heads" in key for key in config)
