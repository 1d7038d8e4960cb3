"""How images become the input of a model file that says nothing of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ftc.console import say
from ftc.errors import InputError
from ftc.foreign.ports import FLOATS, Contents, numbers
from ftc.keras.preprocessing import image_preprocessing
from ftc.preprocessing import ImagePreprocessing

if TYPE_CHECKING:
    from ftc.declared import Declared

_BYTES = frozenset({"uint8", "int8"})


def images(path: Path, contents: Contents, declared: Declared) -> ImagePreprocessing:
    """How images become a file's input, from what was declared or a side file; size and layout from the file.

    :raises InputError: if nothing says it, or it does not give what the file takes
    """
    (port,) = contents.inputs
    numbers(path, contents.inputs, FLOATS | _BYTES)
    if 3 not in (port.shape[1], port.shape[3]):
        raise InputError(
            f"{path} takes {port}, which is no RGB image: expected is (batch, height, width, 3) or "
            "(batch, 3, height, width)."
        )
    spec = image_preprocessing(path, port.name, port.dtype, port.shape[1:], declared)
    if port.dtype == "uint8" and port.scale is None and declared.preprocessing is not None and spec.scale is not None:
        say(f"{path} takes pixels as they are: resized like those of the model beside it, and not normalized")
        spec = replace(spec, scale=None, offset=0.0, mean=None, std=None)
    is_raw = spec.scale is None and spec.mean is None and spec.offset == 0
    if port.dtype in _BYTES and port.scale is None and not (is_raw and port.dtype == "uint8"):
        raise InputError(
            f"{path} takes {port}, integers without a scale of their own. "
            + (
                "Such files take pixels from 0 to 255 as they are: give --processor raw."
                if port.dtype == "uint8"
                else "ftc cannot tell what they stand for; quantize its input with a scale, or leave it in float."
            )
        )
    return spec
