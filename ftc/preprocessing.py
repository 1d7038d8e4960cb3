"""From a raw example to the tensors a model takes, as plain values that travel in the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TextPreprocessing:
    """How texts become token ids; the tokenizer itself is the artifact's ``tokenizer.json``.

    :param max_length: tokens, special ones included, that the model takes; longer inputs are truncated
    :param inputs: the names of the model's inputs, in the tokenizer's order
    """

    max_length: int
    pad_token_id: int
    pad_token_type_id: int
    padding_side: Literal["left", "right"]
    truncation_side: Literal["left", "right"]
    inputs: tuple[str, ...]
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Resize:
    """Resizing with Pillow's filter number `resample`.

    `shortest_edge` keeps the aspect ratio; otherwise the image is warped to `height` x `width`.
    """

    resample: int
    shortest_edge: int | None = None
    height: int | None = None
    width: int | None = None


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """How RGB images (uint8, H x W x 3) become one float32 tensor; steps run in the order of the fields.

    `x = (pixel * scale + offset - mean) / std`, per channel; a None leaves its step out.
    """

    input: str
    resize: Resize | None
    crop: tuple[int, int] | None
    flip_channels: bool
    scale: float | None
    offset: float
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    height: int
    width: int
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    kind: Literal["image"] = "image"
