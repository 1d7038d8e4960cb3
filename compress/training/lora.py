"""Low-rank updates: small matrices are trained beside the large ones, and added to them in the end (Hu et al. 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from peft import LoraConfig, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from ftc.errors import InputError
from ftc.huggingface.base import body_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def adapted(model: PreTrainedModel, rank: int) -> Any:
    """The network with updates of this rank beside every matrix of its body; what lies outside is trained whole.

    :raises InputError: if the body has no such matrices
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.05,
        target_modules=matrices(model),
        modules_to_save=_outside(model),
    )
    return get_peft_model(model, config)


def merged(model: Any) -> PreTrainedModel:
    """The network with the updates added to its matrices: as large and as fast as before."""
    return cast("PreTrainedModel", model.merge_and_unload())


def matrices(model: PreTrainedModel) -> list[str]:
    """Names of the linear layers of a network's body.

    :raises InputError: if there are none
    """
    found = [
        name
        for name, module in model.named_modules()
        if name.startswith(body_of(model)) and isinstance(module, nn.Linear | Conv1D)
    ]
    if not found:
        raise InputError(
            f"--lora trains updates of linear layers, and the body of a {type(model).__name__} has none. Leave it out; "
            "--train-layers 0 trains the head alone."
        )
    return found


def _outside(model: PreTrainedModel) -> list[str]:
    """Names of the modules with weights beside the body: the head, and in some architectures a pooler."""
    # with its task type set, PEFT would add modules by the ends of their names: DistilBERT's pre_classifier twice
    return [
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and any(True for _ in module.parameters())
    ]
