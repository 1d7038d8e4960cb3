"""Low-rank updates: small matrices are trained beside the large ones, and added to them in the end (Hu et al. 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from peft import LoraConfig, TaskType, get_peft_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def adapted(model: PreTrainedModel, rank: int) -> Any:
    """The network with updates of this rank beside every matrix of its layers; its fresh head is trained whole."""
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.05,
        target_modules="all-linear",
    )
    return get_peft_model(model, config)


def merged(model: Any) -> PreTrainedModel:
    """The network with the updates added to its matrices: as large and as fast as before."""
    return cast("PreTrainedModel", model.merge_and_unload())
