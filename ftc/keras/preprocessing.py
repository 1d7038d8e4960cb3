"""The preprocessing of a Keras model, which its file does not hold, from what the user says or a side file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftc.console import say
from ftc.errors import InputError
from ftc.preprocessing import ImagePreprocessing, Resize

if TYPE_CHECKING:
    from ftc.declared import Declared

PROCESSOR_FILE = "preprocessor_config.json"

_BILINEAR = 2
"""Pillow's number."""

# what keras.applications calls the modes of `preprocess_input`, as values:
# keras/src/applications/imagenet_utils.py, _preprocess_numpy_input
_CONVENTIONS: dict[str, dict[str, Any]] = {
    "tf": {"scale": 1 / 127.5, "offset": -1.0},
    "torch": {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "caffe": {"flip_channels": True, "mean": (103.939, 116.779, 123.68), "std": (1.0, 1.0, 1.0)},
    "raw": {},
}

_CHOICES = (
    f"--processor PATH with a {PROCESSOR_FILE} or a directory that holds one, or one of Keras's conventions: "
    "tf (pixels to [-1, 1]), torch (ImageNet mean and deviation), caffe (BGR less ImageNet means), "
    "raw (0-255, for models that rescale themselves)"
)


def image_preprocessing(
    path: Path, name: str, dtype: str, shape: tuple[int | None, ...], declared: Declared
) -> ImagePreprocessing:
    """How RGB images become the input of a network.

    :param name: of the input
    :param dtype: of the input, for messages
    :param shape: of one row of the input, None where the model leaves a size open
    :raises InputError: if nothing says it, or if it does not give what the network takes
    """
    height, width, layout = _size(path, dtype, shape)
    if declared.preprocessing is not None:
        if not isinstance(declared.preprocessing, ImagePreprocessing):
            raise InputError(f"{path} takes images; what was declared prepares texts.")
        spec = declared.preprocessing
    elif declared.processor in _CONVENTIONS:
        if height is None or width is None:
            raise InputError(
                f"{path} takes images of any size, and --processor {declared.processor} names none. "
                f"Give --processor PATH with a {PROCESSOR_FILE}, whose size is taken."
            )
        spec = _of_convention(declared.processor, height, width)
        say(
            f"preprocessing: Keras's {declared.processor!r}, the whole image resized to {height} x {width}; "
            f"if the model was trained on crops, give a {PROCESSOR_FILE} that says so"
        )
    else:
        spec = _of_processor(_processor_directory(path, declared.processor))
    spec = replace(spec, input=name, layout=layout)
    if (height not in (None, spec.height)) or (width not in (None, spec.width)):
        raise InputError(
            f"{path} takes images of {height} x {width} pixels, its preprocessing gives {spec.height} x {spec.width}. "
            "Give the preprocessing it was trained with."
        )
    return spec


def _of_convention(name: str, height: int, width: int) -> ImagePreprocessing:
    plain = ImagePreprocessing(
        input="",
        resize=Resize(_BILINEAR, height=height, width=width),
        crop=None,
        flip_channels=False,
        scale=None,
        offset=0.0,
        mean=None,
        std=None,
        height=height,
        width=width,
    )
    return replace(plain, **_CONVENTIONS[name])


def _size(
    path: Path, dtype: str, shape: tuple[int | None, ...]
) -> tuple[int | None, int | None, Literal["NHWC", "NCHW"]]:
    """Height, width and layout of the input."""
    if len(shape) == 3 and shape[2] == 3:
        return shape[0], shape[1], "NHWC"
    if len(shape) == 3 and shape[0] == 3:
        return shape[1], shape[2], "NCHW"
    raise InputError(
        f"{path} takes {dtype} inputs of shape {('batch', *shape)}; of Keras models ftc takes image "
        "classifiers, whose input is (batch, height, width, 3) or (batch, 3, height, width)."
    )


def _processor_directory(path: Path, processor: str | None) -> Path:
    if processor is None:
        beside = path if path.is_dir() else path.parent
        if (beside / PROCESSOR_FILE).is_file():
            say(f"preprocessing from {beside / PROCESSOR_FILE}")
            return beside
        raise InputError(f"{path} does not say how images become its inputs. Say it: {_CHOICES}.")
    given = Path(processor)
    directory = given.parent if given.name == PROCESSOR_FILE else given
    if not (directory / PROCESSOR_FILE).is_file():
        raise InputError(f"--processor {processor}: there is no such {PROCESSOR_FILE}. Give {_CHOICES}.")
    return directory


def _of_processor(directory: Path) -> ImagePreprocessing:
    # transformers is what reads such files, and the values are proven equal to what it does
    from ftc.huggingface.preprocessing import image_preprocessing as read

    return read(directory)
