"""Pretrained networks to fine-tune: their body is kept, their head is made anew for other classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftc.artifact import content_id, is_artifact
from ftc.console import say
from ftc.errors import InputError
from ftc.huggingface.checkpoint import read_config
from ftc.huggingface.files import PROCESSORS, TOKENIZERS, digests, has_any
from ftc.huggingface.model import UNREADABLE
from ftc.huggingface.weights import read_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FRESH_PARTS = ("pooler",)
"""Parts of a body that pretraining has no use for, so that many checkpoints come without them."""


@dataclass(frozen=True, slots=True)
class Base:
    """A pretrained network.

    :param id: of its files
    :param modality: what it reads
    :param config: as transformers reads it
    """

    path: Path
    id: str
    modality: Literal["text", "image"]
    config: Any


def open_base(path: Path) -> Base:
    """Open a pretrained network; nothing is loaded but its headers.

    :raises InputError: if it is no Hugging Face directory with weights, and a tokenizer or an image processor
    """
    from transformers import AutoConfig

    if not path.is_dir():
        raise InputError(f"{path} is no directory; a base is what `save_pretrained` wrote.")
    if is_artifact(path):
        raise InputError(f"{path} is made by ftc; a base is a pretrained network as it was published.")
    read_config(path)
    weights = read_weights(path)
    has_processor, has_tokenizer = has_any(path, PROCESSORS), has_any(path, TOKENIZERS)
    if has_processor == has_tokenizer:
        raise InputError(
            f"{path} has {'both' if has_tokenizer else 'neither'} a tokenizer {'and' if has_tokenizer else 'nor'} an "
            "image processor; a base reads texts or images, and says how."
        )
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    except UNREADABLE as error:
        raise InputError(f"{path}: transformers cannot read its config.json: {str(error)[:200]}") from error
    files = json.dumps(digests(path, weights.files), sort_keys=True)
    identity = content_id("", "base", {"files": files}, None)
    return Base(path, identity, "text" if has_tokenizer else "image", config)


def with_fresh_head(base: Base, labels: Sequence[str], seed: int) -> PreTrainedModel:
    """The network in float32 with a head for these labels, all of whose weights are drawn at random.

    The same seed draws the same head, and the same pooler where the base has none.

    :raises InputError: as `with_head` does
    """
    import torch
    import transformers

    transformers.set_seed(seed)  # with_head draws what the base does not have, such as a pooler
    model, missing = with_head(base, labels)
    transformers.set_seed(seed)
    fresh = type(model)._from_config(model.config)
    body = body_of(model)
    with torch.no_grad():
        for (name, ours), drawn in zip(model.named_parameters(), fresh.parameters(), strict=True):
            if not name.startswith(body):
                ours.copy_(drawn)
    drawn_names = [name for name, _ in model.named_parameters() if name in missing or not name.startswith(body)]
    say(f"begins at random: {', '.join(dict.fromkeys(name.rpartition('.')[0] for name in drawn_names))}")
    return model


def body_of(model: PreTrainedModel) -> str:
    """What the names of the weights of a network's body begin with; the others are those of its head."""
    return f"{model.base_model_prefix}."


def with_head(base: Base, labels: Sequence[str]) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """The network in float32 with a head for these labels, and the names of its weights that the base does not have.

    What the base has of a head for as many classes is kept.

    :raises InputError: if the architecture has no such head, or weights of its body are missing
    """
    import torch
    import transformers

    kind = "SequenceClassification" if base.modality == "text" else "ImageClassification"
    automatic = getattr(transformers, f"AutoModelFor{kind}")
    try:
        model, info = automatic.from_pretrained(
            base.path,
            dtype=torch.float32,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={name: number for number, name in enumerate(labels)},
            problem_type="single_label_classification",
            trust_remote_code=False,
            local_files_only=True,
            weights_only=True,
            ignore_mismatched_sizes=True,  # a head for other classes
            output_loading_info=True,
        )
    except UNREADABLE as error:
        raise InputError(f"{base.path}: transformers cannot load it for {kind}: {str(error)[:300]}") from error
    fresh = sorted(info["missing_keys"]) + sorted(str(key) for key in info.get("mismatched_keys", ()))
    body = body_of(model)
    if not any(name.startswith(body) for name, _ in model.named_parameters()):
        raise InputError(
            f"{base.path}: a {type(model).__name__} does not keep its body apart from its head, so that no fresh head "
            "can be put on it. Take a network whose body has a name of its own, as BERT, RoBERTa, ViT or ResNet have."
        )
    lost = [name for name in fresh if name.startswith(body) and not any(part in name for part in _FRESH_PARTS)]
    if lost:
        raise InputError(
            f"{base.path}: {len(lost)} weights of its body are missing or have another shape ({', '.join(lost[:4])}). "
            "They would be random numbers: get the base again."
        )
    return model, tuple(fresh)
