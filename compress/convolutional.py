"""Whether a model is a convolutional one: these want static INT8, and other operators quantized, than transformers."""

from __future__ import annotations

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
