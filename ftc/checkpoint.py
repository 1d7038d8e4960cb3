"""What a user points at: an artifact that `ftc` made, or a checkpoint, opened as the root of a new lineage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ftc import manifest as manifests
from ftc.artifact import Artifact, is_artifact, open_artifact
from ftc.declared import Declared
from ftc.errors import InputError
from ftc.foreign.files import is_foreign
from ftc.huggingface.adapter import is_adapter
from ftc.huggingface.timm_network import is_timm
from ftc.keras.files import is_keras
from ftc.quiet import quiet_libraries
from ftc.registry import Entry, Registry

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NOTHING = Declared()

_STUMBLES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin(Entry):
    """Where models come from; the target is called with a path and what is `Declared` of it.

    :param is_such: whether a path is named or laid out like one; the first origin that says so opens it
    """

    is_such: Callable[[Path], bool]


ORIGINS = Registry(
    "origin",
    {
        "keras": Origin("ftc.keras.checkpoint:open_checkpoint", "a Keras model", "keras", is_such=is_keras),
        "foreign": Origin(
            "ftc.foreign.checkpoint:open_checkpoint", "a model file that another program made", is_such=is_foreign
        ),
        "adapter": Origin(
            "ftc.huggingface.adapter:open_checkpoint",
            "a PEFT adapter, merged into its base",
            "torch",
            is_such=is_adapter,
        ),
        "timm": Origin(
            "ftc.huggingface.timm_checkpoint:open_checkpoint",
            "a directory that timm saved, or transformers' wrapper of it",
            "timm",
            is_such=is_timm,
        ),
        "huggingface": Origin(
            "ftc.huggingface.checkpoint:open_checkpoint",
            "a directory that `save_pretrained` wrote",
            "torch",
            is_such=lambda path: True,
        ),
    },
)


def open_any(path: Path, declared: Declared = NOTHING, *, verify: bool = False) -> Artifact:
    """Open what a user points at: an artifact made by `ftc`, or a checkpoint.

    :param declared: what the user says of a checkpoint whose own files do not say it
    :param verify: also compare an artifact's files with the hashes in its manifest
    :raises InputError: if it is neither, or is damaged; the message says what was looked for
    """
    with _refusing_nonsense(path):
        return _opened(path, declared, verify)


def load(path: str | Path) -> PreTrainedModel:
    """Load a Hugging Face checkpoint's network, or a pruned one's, in float32 and evaluation mode.

    This is for code of your own. A pruned network has the class of the one it was made from, with smaller matrices,
    and trains like it; `from_pretrained` would take its sizes from config.json, which cannot say those of one layer.

    :raises InputError: if there is no such checkpoint, or it is damaged
    """
    from ftc.huggingface.model import load_model

    artifact = open_any(Path(path))
    if artifact.manifest.format != "huggingface":
        raise InputError(f"{path} is {artifact.manifest.format}, not a checkpoint of Hugging Face.")
    with quiet_libraries():
        return load_model(artifact)


def _opened(path: Path, declared: Declared, verify: bool) -> Artifact:
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if is_artifact(path):
        declared.only_task(path, "an artifact")
        artifact = open_artifact(path, verify=verify)
        if declared.task not in (None, artifact.manifest.task):
            raise InputError(f"{path} was made for {artifact.manifest.task}; --task is for checkpoints.")
        return artifact
    name = next(name for name, origin in ORIGINS.entries.items() if origin.is_such(path))
    with quiet_libraries():
        opened: Artifact = ORIGINS.load(name)(path, declared)
    manifests.check(opened.manifest, path)
    return opened


def with_operations(artifact: Artifact) -> Artifact:
    """The artifact with its multiply-accumulates counted, if it is a checkpoint: artifacts know theirs."""
    if artifact.manifest.format != "huggingface":
        return artifact  # those of other origins are counted when they are opened
    from ftc.huggingface.model import with_operations_counted

    with quiet_libraries(), _refusing_nonsense(artifact.path):
        facts = with_operations_counted(artifact)
    return Artifact(artifact.path, replace(artifact.manifest, facts=facts))


@contextmanager
def _refusing_nonsense(path: Path) -> Iterator[None]:
    """A checkpoint's files come from anywhere: what makes their readers stumble is a fault of the files."""
    try:
        yield
    except (*_STUMBLES, OSError) as error:
        raise InputError(_nonsense(path, error)) from error


def _nonsense(path: Path, error: Exception) -> str:
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return (
        f"{str(path)[:200]} cannot be opened: its files say something that makes no sense "
        f"({type(error).__name__}: {first[:200]}). Compare config.json and its neighbours with what was saved."
    )
