"""The preprocessing of a Hugging Face checkpoint as values, proven on examples to equal what transformers does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ftc.errors import InputError
from ftc.huggingface.files import PROCESSORS, TOKENIZERS, has_any
from ftc.huggingface.tokenizer import load_tokenizer
from ftc.preprocessing import ImagePreprocessing, Resize, TextPreprocessing

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedTokenizerFast

_UNLIMITED = 10**6
"""Tokenizers without a length limit carry a huge number instead of none."""

OFFSET_POSITIONS = (
    "roberta",
    "camembert",
    "xlm-roberta",
    "longformer",
    "mpnet",
    "ibert",
    "data2vec-text",
    "xmod",
)
"""Architectures whose position ids begin at pad_token_id + 1, so that many table rows are never used."""


def text_preprocessing(path: Path, config: Mapping[str, Any]) -> TextPreprocessing:
    """How the checkpoint's texts become tensors.

    :raises InputError: if there is no tokenizer, no padding token, or the result differs from transformers' own
    """
    from ftc.tasks.encoding import TextEncoder
    from ftc.tasks.text_classification import TextClassification

    if not has_any(path, TOKENIZERS):
        raise InputError(
            f"{path} has no tokenizer (looked for tokenizer.json, tokenizer_config.json and vocab.txt). "
            "Save it beside the weights: tokenizer.save_pretrained(...)."
        )
    tokenizer = load_tokenizer(path)
    if tokenizer.pad_token_id is None:
        raise InputError(f"{path}: the tokenizer has no padding token; set one and save it again.")
    vocabulary = config.get("vocab_size")
    if isinstance(vocabulary, int) and len(tokenizer) > vocabulary:
        raise InputError(
            f"{path}: the tokenizer has {len(tokenizer)} tokens, the model's table only {vocabulary}: they do not "
            "belong together, or the embeddings were not resized."
        )
    spec = TextPreprocessing(
        max_length=_max_length(tokenizer, config),
        pad_token_id=int(tokenizer.pad_token_id),
        pad_token_type_id=int(tokenizer.pad_token_type_id),
        padding_side=cast('Literal["left", "right"]', tokenizer.padding_side),
        truncation_side=cast('Literal["left", "right"]', tokenizer.truncation_side),
        inputs=tuple(tokenizer.model_input_names),
    )
    import numpy as np

    examples = TextClassification.golden_examples()
    examples += [" ".join(str(example) for example in examples) * 20]
    theirs = tokenizer(examples, padding=True, truncation=True, max_length=spec.max_length, return_tensors="np")
    ours = TextEncoder(spec, tokenizer.backend_tokenizer)(examples)
    for name in spec.inputs:
        if not np.array_equal(ours[name], theirs[name]):
            raise InputError(
                f"{path}: its tokenizer does something that tokenizer.json does not say: {name} differs from what "
                f"{type(tokenizer).__name__} gives. ftc would answer differently from your training; not opened."
            )
    return spec


def _max_length(tokenizer: PreTrainedTokenizerFast, config: Mapping[str, Any]) -> int:
    limits = [int(tokenizer.model_max_length)] if tokenizer.model_max_length < _UNLIMITED else []
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        offset = config.get("model_type") in OFFSET_POSITIONS
        limits.append(positions - (int(config.get("pad_token_id", 1)) + 1 if offset else 0))
    return min(limits, default=512)


def image_preprocessing(path: Path) -> ImagePreprocessing:
    """How the checkpoint's images become tensors.

    :raises InputError: if there is no image processor, or it does something these values cannot say
    """
    import numpy as np
    from transformers import AutoImageProcessor

    from ftc.tasks.encoding import ImageEncoder
    from ftc.tasks.image_classification import ImageClassification

    if not has_any(path, PROCESSORS):
        raise InputError(
            f"{path} has no image processor (preprocessor_config.json). "
            "Save it beside the weights: processor.save_pretrained(...)."
        )
    try:
        # Pillow's resampling: what Pillow-only devices and services can repeat exactly
        processor = AutoImageProcessor.from_pretrained(
            path, backend="pil", trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise InputError(f"{path}: the image processor cannot be loaded: {str(error).splitlines()[0]}") from error
    probes = [np.asarray(image) for image in ImageClassification.golden_examples()]
    theirs = np.concatenate([processor(images=image, return_tensors="np")["pixel_values"] for image in probes])
    height, width = theirs.shape[-2:]
    spec = _image_values(processor, int(height), int(width))
    ours = ImageEncoder(spec)(probes)[spec.input]
    if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=0, atol=1e-5):
        raise InputError(
            f"{path}: {type(processor).__name__} does something that ftc cannot express yet "
            f"(resize, centre crop, channel order, rescale, normalize are known); not opened."
        )
    return spec


def _image_values(processor: BaseImageProcessor, height: int, width: int) -> ImagePreprocessing:
    def flag(name: str) -> bool:
        return bool(getattr(processor, name, None))

    size = getattr(processor, "size", None)
    crop = getattr(processor, "crop_size", None) if flag("do_center_crop") else None
    resize, cut = None, (crop.height, crop.width) if crop is not None else None
    if flag("do_resize") and size is not None:
        resample = int(processor.resample if processor.resample is not None else 2)
        if size.shortest_edge and hasattr(processor, "crop_pct") and size.shortest_edge < 384:
            # ConvNeXt: enlarge the shortest edge by 1 / crop_pct, then cut the middle out; warp from 384 up
            resize = Resize(resample, shortest_edge=int(size.shortest_edge / processor.crop_pct))
            cut = (size.shortest_edge, size.shortest_edge)
        elif size.shortest_edge and hasattr(processor, "crop_pct"):
            resize = Resize(resample, height=size.shortest_edge, width=size.shortest_edge)
        elif size.shortest_edge:
            resize = Resize(resample, shortest_edge=size.shortest_edge)
        else:
            resize = Resize(resample, height=size.height, width=size.width)
    mean, std = (None, None)
    if flag("do_normalize"):
        mean, std = _triple(processor.image_mean), _triple(processor.image_std)
    if flag("include_top") and mean is not None and std is not None:
        # EfficientNet divides by the standard deviation once more for checkpoints with their classifier
        std = tuple(value * value for value in std)
    return ImagePreprocessing(
        input="pixel_values",
        resize=resize,
        crop=cut,
        flip_channels=flag("do_flip_channel_order"),
        scale=float(processor.rescale_factor) if flag("do_rescale") else None,
        offset=-1.0 if flag("rescale_offset") else 0.0,
        mean=mean,
        std=std,
        height=height,
        width=width,
    )


def _triple(values: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values) if isinstance(values, Sequence) else (float(values),) * 3
