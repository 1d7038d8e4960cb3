"""timm's checkpoints: what `save_for_hf` and `push_to_hf_hub` write, and transformers' wrapper around them.

Weights and settings lie in the directory; nothing is fetched. How images become inputs is said by `pretrained_cfg`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc.artifact import Artifact
from ftc.declared import Declared, unambiguous
from ftc.errors import InputError
from ftc.huggingface.checkpoint import read_config, rooted
from ftc.huggingface.model import MODEL_CLASS
from ftc.huggingface.timm_network import LIBRARY, TIMM, timm_itself
from ftc.huggingface.weights import read_weights
from ftc.preprocessing import ImagePreprocessing, Resize
from ftc.tasks.encoding import ImageEncoder
from ftc.tasks.image_classification import ImageClassification

if TYPE_CHECKING:
    import numpy as np

TASK = "image-classification"

_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
"""timm's names of Pillow's filters."""

_ODD_SIZES = ((57, 31), (33, 120), (101, 64))
"""Images that leave half a pixel on either side of the crop, which golden examples need not do."""


def open_checkpoint(path: Path, declared: Declared) -> Artifact:
    """Open a directory of timm's as a root artifact; nothing is loaded but its headers.

    :param declared: nothing but the task it has anyway
    :raises MissingExtra: if timm is not installed
    :raises InputError: if anything else is declared, it has no usable weights or no classes, or its images are
        prepared in a way that `ftc` cannot express
    """
    declared.only_task(path, "a timm checkpoint")
    if declared.task not in (None, TASK):
        raise InputError(f"{path} is a timm checkpoint, which is for {TASK}, not for {declared.task}.")
    config = read_config(path)
    timm = timm_itself()
    return rooted(
        path,
        read_weights(path),
        TASK,
        _labels(path, config),
        _preprocessing(path, config, timm),
        {MODEL_CLASS: f"AutoModel{ImageClassification.architecture_suffix}", LIBRARY: TIMM},
    )


def _labels(path: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    named = config.get("label_names")
    if named is None:
        from transformers import AutoConfig

        # ImageNet's own names where the number of classes is one of its subsets', else LABEL_0 and so on
        read = AutoConfig.from_pretrained(path, trust_remote_code=False, local_files_only=True)
        named = [read.id2label[number] for number in range(read.num_labels)]
    elif isinstance(named, dict):
        try:
            named = [named[str(number)] for number in range(len(named))]
        except KeyError as error:
            raise InputError(
                f"{path}: label_names in config.json must number its labels from 0 without gaps."
            ) from error
    count = config.get("num_classes", len(named))
    if len(named) != count or len(named) < 2:
        raise InputError(
            f"{path}: config.json names {len(named)} labels for {count} classes; a classifier has as many of both, and "
            "two or more. Save it with label_names."
        )
    return unambiguous([str(name) for name in named])


def _preprocessing(path: Path, config: Mapping[str, Any], timm: Any) -> ImagePreprocessing:
    """The values of timm's own evaluation transform, proven on examples to say all that it does."""
    import numpy as np

    settings = timm.data.resolve_data_config(pretrained_cfg=config["pretrained_cfg"])
    if settings["interpolation"] not in _FILTERS:
        raise InputError(
            f"{path}: its images are resized by {settings['interpolation']!r}; one of {', '.join(_FILTERS)} is known. "
            "Name the one to evaluate with as interpolation in pretrained_cfg."
        )
    spec = _values(path, settings)
    transform = timm.data.create_transform(**settings, is_training=False)
    examples = [np.asarray(example) for example in ImageClassification.golden_examples()]
    examples += [examples[1][:height, :width] for height, width in _ODD_SIZES]
    ours = ImageEncoder(spec)(examples)[spec.input]
    theirs = np.stack([_transformed(transform, example) for example in examples])
    if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=0, atol=1e-5):
        raise InputError(
            f"{path}: timm's transform for it does something that ftc cannot express yet; crop_mode center and squash "
            "are known. Not opened."
        )
    return spec


def _transformed(transform: Any, example: np.ndarray) -> np.ndarray:
    from PIL import Image

    values: np.ndarray = transform(Image.fromarray(example)).numpy()
    return values  # (3, H, W) float32


def _values(path: Path, settings: Mapping[str, Any]) -> ImagePreprocessing:
    channels, height, width = settings["input_size"]
    mode, part = settings["crop_mode"], float(settings["crop_pct"])
    filter_number = _FILTERS[settings["interpolation"]]
    # timm.data.transforms_factory.transforms_imagenet_eval
    tall, wide = math.floor(height / part), math.floor(width / part)
    if mode == "squash":
        resize = Resize(filter_number, height=tall, width=wide)
    elif mode == "center" and tall == wide:
        resize = Resize(filter_number, shortest_edge=tall)
    else:
        resize = None
    if resize is None or channels != 3 or part > 1:
        raise InputError(
            f"{path}: its pretrained_cfg asks for images of {channels} x {height} x {width}, crop_mode {mode!r} and "
            f"crop_pct {part:g}; ftc knows 3 channels, squash, and center for square images, up to a crop_pct of 1."
        )
    return ImagePreprocessing(
        input="pixel_values",
        resize=resize,
        crop=(height, width),
        flip_channels=False,
        scale=1 / 255,
        offset=0.0,
        mean=_triple(settings["mean"]),
        std=_triple(settings["std"]),
        height=height,
        width=width,
        crop_rounding="half-even",
    )


def _triple(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
