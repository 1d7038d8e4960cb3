"""From a raw example to the tensors a model takes, as plain values that travel in the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Gt, Interval, IsFinite, Len

# The bounds are what a manifest from anywhere is held to when it is read; pydantic checks them there.
MAX_TOKENS = 1_000_000
MAX_SIDE = 8192

TokenId = Annotated[int, Interval(ge=0, lt=2**31)]
Side = Annotated[int, Interval(ge=1, le=MAX_SIDE)]
Finite = IsFinite[float]
Channels = Len(3, 3)


@dataclass(frozen=True, slots=True)
class TextPreprocessing:
    """How texts become token ids; the tokenizer itself is the artifact's ``tokenizer.json``.

    :param max_length: tokens, special ones included, that the model takes; longer inputs are truncated
    :param inputs: the names of the model's inputs, in the tokenizer's order
    """

    max_length: Annotated[int, Interval(ge=1, le=MAX_TOKENS)]
    pad_token_id: TokenId
    pad_token_type_id: TokenId
    padding_side: Literal["left", "right"]
    truncation_side: Literal["left", "right"]
    inputs: Annotated[tuple[str, ...], Len(1)]
    kind: Literal["text"] = "text"

    def padding(self, name: str) -> int:
        """What an input of that name holds where there is no token."""
        return {
            "input_ids": self.pad_token_id,
            "token_type_ids": self.pad_token_type_id,
            "attention_mask": 0,
        }[name]


@dataclass(frozen=True, slots=True)
class Resize:
    """Resizing with Pillow's filter number `resample`.

    `shortest_edge` keeps the aspect ratio; otherwise the image is warped to `height` x `width`.
    """

    resample: Annotated[int, Interval(ge=0, le=5)]
    shortest_edge: Side | None = None
    height: Side | None = None
    width: Side | None = None


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """How RGB images (uint8, H x W x 3) become one float32 tensor; steps run in the order of the fields.

    `x = (pixel * scale + offset - mean) / std`, per channel; a None leaves its step out.

    :param crop_rounding: where the crop begins if half a pixel is left over: one further up and left, as in
        transformers, or at the even one, as in torchvision
    """

    input: str
    resize: Resize | None
    crop: tuple[Side, Side] | None
    flip_channels: bool
    scale: Finite | None
    offset: Finite
    mean: Annotated[tuple[Finite, ...], Channels] | None
    std: Annotated[tuple[Annotated[Finite, Gt(0)], ...], Channels] | None
    height: Side
    width: Side
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    crop_rounding: Literal["down", "half-even"] = "down"
    kind: Literal["image"] = "image"
