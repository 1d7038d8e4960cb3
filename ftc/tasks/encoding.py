"""Encoders: raw examples in, the model's input tensors out, from the values in the manifest alone.

No transformers and no torch: a service or an edge device carries only `tokenizers` or Pillow, and numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ftc.errors import InputError
from ftc.preprocessing import ImagePreprocessing, Resize, TextPreprocessing

if TYPE_CHECKING:
    from PIL import Image
    from tokenizers import Encoding, Tokenizer

    from ftc.data import Example

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as the model will see it, before it meets others in a batch.

    :param length: tokens of a text, special ones included, or pixels along an image's longer side
    :param truncated: whether a text was longer than the model takes, and was cut
    :param content: what the encoder that made it puts into tensors
    """

    length: int
    truncated: bool
    content: Any


class TextEncoder:
    """Texts or pairs of texts to token ids, padded to the longest of the batch."""

    def __init__(self, preprocessing: TextPreprocessing, tokenizer: Tokenizer) -> None:
        special = tokenizer.num_special_tokens_to_add(is_pair=True)
        if preprocessing.max_length <= special:  # the library would then truncate nothing
            raise InputError(
                f"at most {preprocessing.max_length} tokens leave no room for text beside {special} special ones: "
                "correct the tokenizer's model_max_length."
            )
        self.preprocessing = preprocessing
        self._tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.enable_truncation(
            preprocessing.max_length, strategy="longest_first", direction=preprocessing.truncation_side
        )

    @classmethod
    def from_file(cls, preprocessing: TextPreprocessing, path: Path) -> TextEncoder:
        """:param path: a `tokenizer.json`

        :raises InputError: if it is none that the tokenizers library can read
        """
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_buffer(path.read_bytes())
        except Exception as error:  # the library raises bare Exception
            raise InputError(f"{path}: no tokenizer that can be read ({str(error)[:200]}). Make it again.") from error
        return cls(preprocessing, tokenizer)

    def __call__(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """:return: for each of the model's inputs an int64 array (batch, length of the longest example)

        :raises InputError: if an example is no text and no pair of texts, or the tokenizer has no token for it
        """
        return self.batch(self.each(examples))

    def each(self, examples: Sequence[Example]) -> list[Encoded]:
        """The tokens of each example by itself, cut to what the model takes.

        :raises InputError: as above
        """
        for example in examples:
            if not isinstance(example, str | tuple):
                raise InputError(f"a text model takes texts or pairs of texts, got {type(example).__name__}.")
        try:
            encodings = self._tokenizer.encode_batch(cast("list[str]", list(examples)))
        except Exception as error:  # bare Exception: a vocabulary without its unknown token, half of a surrogate pair
            raise InputError(f"the tokenizer cannot take these texts: {str(error)[:200]}.") from error
        return [Encoded(len(encoding.ids), bool(encoding.overflowing), encoding) for encoding in encodings]

    def batch(self, encoded: Sequence[Encoded]) -> dict[str, np.ndarray]:
        """:return: for each of the model's inputs an int64 array (batch, length of the longest example)"""
        encodings = [example.content for example in encoded]
        length = max(example.length for example in encoded)
        spec = self.preprocessing
        return {name: self._padded(encodings, name, spec.padding(name), length) for name in spec.inputs}

    def length(self, example: Example) -> int:
        """Tokens of an example, special ones included, after truncation."""
        return int(self((example,))["input_ids"].shape[1])

    def _padded(self, encodings: Sequence[Encoding], name: str, fill: int, length: int) -> np.ndarray:
        attribute = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}[name]
        array = np.full((len(encodings), length), fill, dtype=np.int64)  # (B, L)
        for row, encoding in enumerate(encodings):
            values = getattr(encoding, attribute)
            if self.preprocessing.padding_side == "right":
                array[row, : len(values)] = values
            else:
                array[row, length - len(values) :] = values
        return array


class ImageEncoder:
    """RGB images to one normalized float32 tensor, with Pillow's resampling."""

    def __init__(self, preprocessing: ImagePreprocessing) -> None:
        self.preprocessing = preprocessing

    def __call__(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """:return: float32 (batch, 3, height, width), or (batch, height, width, 3) for layout NHWC

        :raises InputError: if an example is no uint8 array of shape (H, W, 3)
        """
        return self.batch(self.each(examples))

    def each(self, examples: Sequence[Example]) -> list[Encoded]:
        """Each image by itself, resized, cropped and normalized.

        :raises InputError: as above
        """
        return [Encoded(self.length(example), False, self._encode(example)) for example in examples]

    def batch(self, encoded: Sequence[Encoded]) -> dict[str, np.ndarray]:
        """:return: float32 (batch, 3, height, width), or (batch, height, width, 3) for layout NHWC"""
        batch = np.stack([example.content for example in encoded])
        if self.preprocessing.layout == "NCHW":
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        return {self.preprocessing.input: batch}

    def length(self, example: Example) -> int:
        """Pixels along the longer side, after preprocessing: the same for every image."""
        return max(self.preprocessing.height, self.preprocessing.width)

    def _encode(self, example: Example) -> np.ndarray:
        from PIL import Image

        if not isinstance(example, np.ndarray) or example.dtype != np.uint8 or example.ndim != 3:
            raise InputError("an image model takes RGB images as uint8 arrays of shape (height, width, 3).")
        spec = self.preprocessing
        image = example
        if spec.resize is not None:
            image = np.asarray(resized(Image.fromarray(image), spec.resize))
        if spec.crop is not None:
            image = center_cropped(image, *spec.crop, even=spec.crop_rounding == "half-even")
        if spec.flip_channels:
            image = image[..., ::-1]
        values: np.ndarray = image.astype(np.float32)
        if spec.scale is not None:
            # in float64 first: the processors that checkpoints were trained with round once, at the end
            values = (image.astype(np.float64) * spec.scale + spec.offset).astype(np.float32)
        if spec.mean is not None and spec.std is not None:
            values = (values - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
        return values  # (H, W, 3) float32


def resized(image: Image.Image, resize: Resize) -> Image.Image:
    """Resize with Pillow, to the given size or so that the shortest edge has the given length."""
    from PIL.Image import Resampling

    width, height = image.size
    if resize.shortest_edge is not None:
        short = resize.shortest_edge
        long = int(short * max(width, height) / min(width, height))
        size = (short, long) if width <= height else (long, short)
    else:
        size = (cast(int, resize.width), cast(int, resize.height))
    return image.resize(size, Resampling(resize.resample))


def center_cropped(image: np.ndarray, height: int, width: int, *, even: bool = False) -> np.ndarray:
    """Cut the middle out of an image (H, W, 3), padding with zeros where the image is smaller.

    :param even: begin at the even pixel where half a one is left over, not at the one before
    """
    spare = (image.shape[0] - height, image.shape[1] - width)
    top, left = (round(pixels / 2) if even else pixels // 2 for pixels in spare)
    if top < 0 or left < 0:
        rows, columns = max(height, image.shape[0]), max(width, image.shape[1])
        above, before = -(-(rows - image.shape[0]) // 2), -(-(columns - image.shape[1]) // 2)
        canvas = np.zeros((rows, columns, image.shape[2]), image.dtype)
        canvas[above : above + image.shape[0], before : before + image.shape[1]] = image
        image, top, left = canvas, max(0, top + above), max(0, left + before)
    return image[top : top + height, left : left + width]
