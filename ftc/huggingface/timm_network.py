"""What tells timm's networks from others: transformers wraps them, once timm itself is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from ftc.artifact import Artifact

LIBRARY = "model_library"
"""Key of the manifest's run settings that names the library whose network transformers wraps."""

TIMM = "timm"

_WRAPPER = "timm_wrapper"


def is_timm(path: Path) -> bool:
    """Whether a directory is one that timm saved, or transformers' wrapper around its networks."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(config, dict):
        return False
    return config.get("model_type", _WRAPPER) == _WRAPPER and {"architecture", "pretrained_cfg"} <= set(config)


def is_of_timm(artifact: Artifact) -> bool:
    """Whether an artifact's manifest says that its network is one of timm's."""
    return artifact.manifest.run.session_config.get(LIBRARY) == TIMM


def timm_itself() -> Any:
    """The library, imported.

    :raises MissingExtra: if it or its torchvision is not installed
    :raises InputError: if its torchvision was built for another PyTorch
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtra("a timm checkpoint", error.name or TIMM, TIMM) from error
    except RuntimeError as error:
        raise InputError(
            f"timm cannot be imported ({str(error).splitlines()[0]}): its torchvision was built for another PyTorch "
            "than the one that is installed. Install both from the same index."
        ) from error
    return timm


def consistent(config: Any) -> Any:
    """A wrapper's configuration without what timm says of the number of classes a second time.

    timm 1.0.31 saves all arguments that it made the network with; transformers 5.23 passes them on beside its own
    number of classes, and Python refuses to be told twice.
    """
    arguments = dict(config.model_args or {})
    arguments.pop("num_classes", None)
    config.model_args = arguments
    return config
