"""Loading a Hugging Face checkpoint's network: in float32, whole, finite, and without running its code."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ftc.collector import collector_paused
from ftc.errors import InputError, first_line
from ftc.huggingface.shapes import Shapes, differing, resized
from ftc.huggingface.timm_network import consistent, is_of_timm, timm_itself

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftc.artifact import Artifact
    from ftc.manifest import Facts

MODEL_CLASS = "model_class"
"""Key of the manifest's run settings that names transformers' automatic class for the checkpoint's task."""

WEIGHTS_FILE = "model.safetensors"
"""What `save_pretrained` writes."""

UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What transformers raises on configurations and weights that make no sense."""

REFERENCE_LENGTH = 128
"""Tokens of the input that multiply-accumulates are counted for."""


@collector_paused()
def load_model(artifact: Artifact, *, attention: str | None = None) -> PreTrainedModel:
    """Load a checkpoint in float32, in evaluation mode, checked for missing and not-a-number weights.

    :param attention: transformers' `attn_implementation`; None for the checkpoint's own default
    :raises InputError: if the architecture is unknown, weights are missing, or a weight is NaN or infinite
    """
    import torch
    from safetensors import SafetensorError

    path = artifact.path
    options: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    try:
        model, info = _class(artifact).from_pretrained(
            path,
            config=config_of(artifact),
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=True,
            weights_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below by name, and refused
            **options,
        )
    except UNREADABLE as error:
        raise InputError(f"{path}: transformers cannot load it: {first_line(error)}") from error
    except (pickle.UnpicklingError, SafetensorError) as error:
        raise InputError(
            f"{path}: the weights cannot be read as plain data ({type(error).__name__}). "
            "Pickles that need code are not opened; save the model as safetensors."
        ) from error
    missing = sorted(info["missing_keys"]) + sorted(str(key) for key in info.get("mismatched_keys", ()))
    if missing:
        raise InputError(
            f"{path}: {len(missing)} weights that the architecture needs are missing or have another shape "
            f"({', '.join(missing[:4])}{', ...' if len(missing) > 4 else ''}). They would be random numbers: "
            "fine-tune the model and save it whole."
        )
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise InputError(f"{path}: weight {name!r} holds NaN or infinite values; the training diverged.")
    loaded: PreTrainedModel = model.eval().requires_grad_(False)
    return loaded


def shapes_unlike_configured(model: PreTrainedModel, artifact: Artifact) -> Shapes:
    """The shapes that a network's configuration does not say.

    :param artifact: the checkpoint it was loaded from
    """
    import torch

    with torch.device("meta"):
        return differing(model, _own_class(artifact, model.config)._from_config(model.config))


def _class(artifact: Artifact) -> Any:
    """What makes the network: transformers' automatic class, or for a pruned one its own class, resized."""
    pruning = artifact.manifest.pruning
    if pruning is None:
        return _automatic(artifact)
    return resized(_own_class(artifact, config_of(artifact)), pruning.shapes)


def _own_class(artifact: Artifact, config: Any) -> Any:
    """The class that the automatic one takes; that one itself cannot be told to build it smaller."""
    from transformers.models.auto.auto_factory import _get_model_class

    return _get_model_class(config, _automatic(artifact)._model_mapping)


def config_of(artifact: Artifact) -> Any:
    """The configuration of a checkpoint, as transformers reads it.

    :raises MissingExtra: if its network is one of timm's, and timm is not installed
    """
    from transformers import AutoConfig

    wrapped = is_of_timm(artifact)
    if wrapped:
        timm_itself()
    config = AutoConfig.from_pretrained(
        artifact.path,
        trust_remote_code=False,
        local_files_only=True,
        output_attentions=False,  # only the answer is wanted, whatever the training looked at
        output_hidden_states=False,
    )
    return consistent(config) if wrapped else config


def _automatic(artifact: Artifact) -> Any:
    import transformers

    name = artifact.manifest.run.session_config.get(MODEL_CLASS, "")
    if not name.startswith("AutoModelFor") or not hasattr(transformers, name):
        raise InputError(f"{artifact.path}: its manifest names no automatic class of transformers ({name!r}).")
    return getattr(transformers, name)


def reference_length(max_length: int) -> int:
    """Tokens of the input that multiply-accumulates are counted for: what the model takes, if that is less."""
    return min(REFERENCE_LENGTH, max_length)


@collector_paused()
def with_operations_counted(artifact: Artifact) -> Facts:
    """The artifact's facts with the multiply-accumulates of one forward pass at the reference input filled in.

    Every matrix product and convolution counts; PyTorch's counter reports two operations for each. The count stays
    None where the forward pass looks at values, which tensors without storage do not have.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    spec, facts = artifact.manifest.preprocessing, artifact.manifest.facts
    with torch.device("meta"):
        network = _class(artifact)
        make = network.from_config if artifact.manifest.pruning is None else network._from_config
        model = make(config_of(artifact), attn_implementation="eager").eval()
        if spec.kind == "text":
            # no mask: checking whether it is all ones would need its values
            inputs = {"input_ids": torch.ones(1, reference_length(spec.max_length), dtype=torch.long)}
        else:
            inputs = {spec.input: torch.empty(1, 3, spec.height, spec.width)}
        try:
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(**inputs)
        except (RuntimeError, NotImplementedError):
            return facts
    counts = counter.get_flop_counts()["Global"]
    total = sum(counts.values())
    convolutions = sum(count for operator, count in counts.items() if "convolution" in str(operator))
    return replace(
        facts,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiply_accumulates=total // 2,
        convolution_share=convolutions / total if total else None,
    )
