"""PEFT adapters as checkpoints: merged once into their base, in the user's cache, and opened from there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc.artifact import Artifact, content_id
from ftc.console import caution, progress, say
from ftc.declared import Declared
from ftc.errors import InputError, RunError
from ftc.huggingface import checkpoint
from ftc.huggingface.files import carry, digests
from ftc.huggingface.model import UNREADABLE
from ftc.huggingface.weights import read_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SETTINGS = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"


def is_adapter(path: Path) -> bool:
    """Whether a directory holds an adapter and no whole checkpoint."""
    return os.path.isfile(path / _SETTINGS) and not os.path.isfile(path / "config.json")


def open_checkpoint(path: Path, declared: Declared) -> Artifact:
    """Merge an adapter into its base, unless that was done before, and open the result as a root artifact.

    :param declared: a task, and the labels if neither adapter nor base names them
    :raises InputError: if the adapter or its base cannot be read, or the base is not on this machine
    """
    Declared(task=None, processor=declared.processor, tokenizer=declared.tokenizer).only_task(path, "an adapter")
    settings = _settings(path)
    base = _base(path, settings)
    labels = _labels(path, base, declared.labels)
    theirs, ours = digests(base, read_weights(base).files), digests(path, (path / _SETTINGS, path / _WEIGHTS))
    identity = content_id("", "merge", {"labels": labels, "base": theirs, "adapter": ours}, None)
    place = _cache() / identity / path.resolve().name
    if not place.is_dir():
        with progress(f"merging the adapter into {base}"):
            _write_merged(path, base, labels, place)
    say(f"{path} is an adapter; merged into {base}, it lies in {place}")
    return checkpoint.open_checkpoint(place, Declared(task=declared.task))


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads((path / _SETTINGS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path / _SETTINGS} is not valid JSON: {error}.") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("base_model_name_or_path"), str):
        raise InputError(f"{path / _SETTINGS} does not name its base (base_model_name_or_path).")
    if not (path / _WEIGHTS).is_file():
        raise InputError(f"{path} has no {_WEIGHTS}; adapters saved as pickles are not opened: save it again.")
    return settings


def _base(path: Path, settings: dict[str, Any]) -> Path:
    """The directory of the base: a path as it stands, one beside the adapter, or one in the hub's cache."""
    named = settings["base_model_name_or_path"]
    for place in (Path(named), path / named):
        if (place / "config.json").is_file():
            return place
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(named, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise InputError(
            f"{path}: its base {named[:200]!r} is neither a directory nor in the Hugging Face cache of this machine. "
            f"Fetch it, or write its path into {_SETTINGS}."
        ) from error


def _labels(path: Path, base: Path, declared: Sequence[str] | None) -> tuple[str, ...]:
    """The labels that were declared, or the base's if it has as many, or their numbers."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, trust_remote_code=False, local_files_only=True)
    count = _classes(path)
    if count is None and not str((config.architectures or [""])[0]).endswith("Classification"):
        raise InputError(
            f"{path} brings no head, and its base {base} has none for a classifier: its answers would be random."
        )
    count = count or config.num_labels
    named = tuple(declared) if declared is not None else tuple(config.id2label[n] for n in range(config.num_labels))
    if len(named) == count:
        return named
    if declared is not None:
        raise InputError(f"{path} tells {count} classes apart; --labels names {len(declared)}.")
    caution(f"{path} names none of its {count} classes: name them with --labels FILE")
    return tuple(f"LABEL_{number}" for number in range(count))


def _classes(path: Path) -> int | None:
    """How many classes the adapter's own head tells apart; None if it brings none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path / _WEIGHTS, "np") as file:
            heads = [
                file.get_slice(name).get_shape()
                for name in file.keys()  # noqa: SIM118
                if "lora_" not in name and name.endswith(".weight")
            ]
    except SafetensorError as error:
        raise InputError(f"{path / _WEIGHTS} is damaged: {error}.") from error
    return min((shape[0] for shape in heads if len(shape) == 2), default=None)


def _write_merged(path: Path, base: Path, labels: tuple[str, ...], place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=place.parent))
    except OSError as error:
        raise RunError(f"cannot write to {place.parent}: {error.strerror}. Set XDG_CACHE_HOME.") from error
    try:
        _merged(path, base, labels).save_pretrained(draft)
        carry(base, draft)
        carry(path, draft)
        draft.chmod(0o755)
        if not place.is_dir():
            draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if not any(place.parent.iterdir()):
            place.parent.rmdir()


def _merged(path: Path, base: Path, labels: tuple[str, ...]) -> PreTrainedModel:
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    from ftc.huggingface.base import open_base, with_head

    try:
        network, _ = with_head(open_base(base), labels)
        adapted = PeftModel.from_pretrained(network, str(path))
        with safe_open(path / _WEIGHTS, "np") as file:
            odd = set(file.keys()) ^ set(get_peft_model_state_dict(adapted))
        with torch.no_grad():
            merged: PreTrainedModel = adapted.merge_and_unload()
    except (*UNREADABLE, SafetensorError) as error:
        raise InputError(f"{path} does not fit its base {base}: {str(error)[:300]}") from error
    if odd:
        raise InputError(
            f"{path} does not fit its base {base}: {len(odd)} weights are missing or belong nowhere, such as "
            f"{min(odd)[:200]}. Save the adapter again."
        )
    for name, parameter in merged.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise InputError(f"{path}: weight {name!r} holds NaN or infinite values once it is merged.")
    return merged


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ftc" / "merged"
