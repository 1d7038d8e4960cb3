"""Trimming the vocabulary: tokens that no text of a corpus needs go, and their rows of the embedding table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from compress.pruning.vocabulary import kept_tokens, trimmed
from compress.step import Made
from ftc.artifact import Artifact
from ftc.console import progress
from ftc.errors import InputError
from ftc.huggingface.model import WEIGHTS_FILE, load_model, with_operations_counted
from ftc.huggingface.preprocessing import OFFSET_POSITIONS
from ftc.huggingface.tokenizer import load_tokenizer
from ftc.manifest import Cut, PruningRecord, RunInstructions
from ftc.preprocessing import TextPreprocessing
from ftc.tasks.encoding import TOKENIZER_FILE
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftc.data import Dataset

_BATCH = 256


@dataclass(frozen=True, slots=True)
class TrimVocabulary:
    """Tokens that occur in the texts stay, special ones, and single characters, so that no word becomes unknown."""

    name: ClassVar[str] = "trim-vocabulary"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    @property
    def suffix(self) -> str:
        return "trimmed"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        spec = source.manifest.preprocessing
        if data is None or not isinstance(spec, TextPreprocessing):
            raise InputError(f"{self.name} needs a text model, and the texts whose tokens are to stay.")
        document = json.loads(load_tokenizer(source.path).backend_tokenizer.to_str())
        kept = kept_tokens(document, _used(source, data), str(source.path))
        model = load_model(source)
        tokens = model.get_input_embeddings().weight.shape[0]
        kept = tuple(token for token in kept if token < tokens)
        new = {old: number for number, old in enumerate(kept)}
        if model.config.model_type in OFFSET_POSITIONS and new[spec.pad_token_id] != spec.pad_token_id:
            raise InputError(
                f"{source.path}: {model.config.model_type} counts positions from the number of its padding token, "
                f"{spec.pad_token_id}, which would become {new[spec.pad_token_id]}: it cannot be trimmed."
            )
        parameters = sum(parameter.numel() for parameter in model.parameters())
        _keep_rows(model, kept, new)
        model.save_pretrained(draft)
        (draft / TOKENIZER_FILE).write_text(json.dumps(trimmed(document, kept), ensure_ascii=False), encoding="utf-8")
        _write_tokenizer_config(source.path, draft, new)
        former = source.manifest.pruning
        operations = with_operations_counted(source).multiply_accumulates
        record = PruningRecord(
            shapes={} if former is None else former.shapes,
            removed=(Cut("embeddings", "tokens", tokens, len(kept)),),
            parameters_before=parameters,
            parameters_after=sum(parameter.numel() for parameter in model.parameters()),
            multiply_accumulates_before=operations,
            multiply_accumulates_after=operations,
        )
        run = RunInstructions("torch", WEIGHTS_FILE, source.manifest.run.session_config)
        made = Artifact(draft, replace(source.manifest, run=run, pruning=record))
        manifest = source.manifest
        return Made(
            run=run,
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            facts=replace(with_operations_counted(made), size_bytes=(draft / WEIGHTS_FILE).stat().st_size),
            preprocessing=replace(spec, pad_token_id=new[spec.pad_token_id]),
            pruning=record,
        )


def _used(source: Artifact, data: Dataset) -> set[int]:
    """The ids that occur in the texts, as the model is given them."""
    task = open_task(source)
    used: set[int] = set()
    with progress("reading the texts' tokens", len(data)) as advance:
        for start in range(0, len(data), _BATCH):
            examples = data.examples[start : start + _BATCH]
            used.update(np.unique(task.encode(examples)["input_ids"]).tolist())
            advance(len(examples))
    return used


def _keep_rows(model: PreTrainedModel, kept: tuple[int, ...], new: dict[int, int]) -> None:
    table = model.get_input_embeddings()
    smaller = torch.nn.Embedding(len(kept), table.embedding_dim, new.get(table.padding_idx))
    smaller.weight = torch.nn.Parameter(table.weight[torch.tensor(kept)].clone(), requires_grad=False)
    model.set_input_embeddings(smaller)
    model.config.vocab_size = len(kept)
    for name, value in _token_ids(model.config.to_dict()):
        setattr(model.config, name, new.get(value, value))


def _token_ids(config: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if name.endswith("_token_id") and isinstance(value, int):
            yield name, value


def _write_tokenizer_config(source: Path, draft: Path, new: dict[int, int]) -> None:
    file = source / "tokenizer_config.json"
    if not file.is_file():
        return
    settings = json.loads(file.read_text(encoding="utf-8"))
    if "added_tokens_decoder" in settings:
        tokens = settings["added_tokens_decoder"]
        settings["added_tokens_decoder"] = {str(new[int(old)]): token for old, token in tokens.items()}
    (draft / file.name).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
