"""Hugging Face checkpoints, opened in place as root artifacts and never changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftc.artifact import Artifact, content_id, is_artifact
from ftc.declared import Declared, unambiguous
from ftc.errors import InputError
from ftc.huggingface.files import digests
from ftc.huggingface.model import MODEL_CLASS, reference_length
from ftc.huggingface.preprocessing import image_preprocessing, text_preprocessing
from ftc.huggingface.weights import Weights, read_weights
from ftc.manifest import Ancestor, Facts, Manifest, Preprocessing, RunInstructions, TensorSpec
from ftc.preprocessing import TextPreprocessing
from ftc.tasks import TASKS

FORMAT = "huggingface"


def open_checkpoint(path: Path, declared: Declared) -> Artifact:
    """Open a Hugging Face directory as a root artifact; nothing is loaded but its headers and its tokenizer.

    :param declared: a task, which overrides the one that the architecture implies
    :raises InputError: if anything else is declared, or it has no config, no usable weights, no tokenizer or image
        processor, or a task that `ftc` does not know
    """
    if not path.is_dir():
        raise InputError(
            f"{path} is a file; a checkpoint is a directory with config.json, weights and a tokenizer or an image "
            "processor, as `save_pretrained` writes it."
        )
    declared.only_task(path, "a Hugging Face checkpoint")
    config = read_config(path)
    weights = read_weights(path)
    task = declared.task or _task_of(path, config)
    labels = _labels_of(path, config)
    kind = TASKS.load(task)
    preprocessing: Preprocessing
    preprocessing = text_preprocessing(path, config) if kind.modality == "text" else image_preprocessing(path)
    settings = {MODEL_CLASS: f"AutoModel{kind.architecture_suffix}"}
    return rooted(path, weights, task, labels, preprocessing, settings)


def rooted(
    path: Path,
    weights: Weights,
    task: str,
    labels: tuple[str, ...],
    preprocessing: Preprocessing,
    settings: Mapping[str, str],
) -> Artifact:
    """A directory whose network transformers loads, as the root of a new lineage.

    :param settings: of the session: which class of transformers loads it
    """
    files = json.dumps(digests(path, weights.files), sort_keys=True)
    root_id = content_id("", FORMAT, {"files": files, "task": task}, None)
    name = path.resolve().name
    if isinstance(preprocessing, TextPreprocessing):
        inputs = tuple(TensorSpec(name, "int64", ("batch", "length")) for name in preprocessing.inputs)
        reference = f"1 x {reference_length(preprocessing.max_length)} tokens"
    else:
        height, width = preprocessing.height, preprocessing.width
        inputs = (TensorSpec(preprocessing.input, "float32", ("batch", 3, height, width)),)
        reference = f"1 x 3 x {height} x {width} pixels"
    manifest = Manifest(
        id=root_id,
        name=name,
        format=FORMAT,
        task=task,
        labels=labels,
        preprocessing=preprocessing,
        lineage=(Ancestor(root_id, name, FORMAT, None),),
        root_path=str(path.resolve()),
        inputs=inputs,
        outputs=(TensorSpec("logits", "float32", ("batch", len(labels))),),
        run=RunInstructions("torch", ".", settings),
        facts=Facts(weights.parameters or 0, None, reference, weights.size_bytes),
    )
    return Artifact(path, manifest)


def read_config(path: Path) -> Mapping[str, Any]:
    """:raises InputError: if `config.json` is missing or broken"""
    file = path / "config.json"
    if (path / "adapter_config.json").is_file() and not file.is_file():
        raise InputError(
            f"{path} is a PEFT adapter, not a whole checkpoint. Merge it into its base first: "
            "model.merge_and_unload().save_pretrained(...)."
        )
    if not file.is_file():
        held = sorted(entry.name for entry in path.iterdir())[:8]
        made = [name for name in held if is_artifact(path / name)]
        if made:
            raise InputError(f"{path} holds artifacts; name one of them, such as {path / made[0]}.")
        raise InputError(
            f"{path} has no config.json, so it is no Hugging Face checkpoint "
            f"(it holds: {', '.join(held) or 'nothing'}). "
            "Give the directory that `save_pretrained` wrote."
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not valid JSON: {error}.") from error
    if not isinstance(config, dict):
        raise InputError(f"{file} must hold a JSON object, it holds {type(config).__name__}.")
    if "auto_map" in config and not _is_known(config):
        raise InputError(
            f"{path}: the checkpoint brings its own Python code (auto_map in config.json); ftc does not run code from "
            "checkpoints. Convert it to an architecture that transformers has."
        )
    return config


def _is_known(config: Mapping[str, Any]) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return config.get("model_type") in CONFIG_MAPPING_NAMES


def _task_of(path: Path, config: Mapping[str, Any]) -> str:
    named = config.get("architectures") or ["(none named)"]
    if not isinstance(named, list) or not isinstance(named[0], str):
        raise InputError(f"{path}: architectures in config.json must be a list of names, it is {str(named)[:80]}.")
    architecture = named[0]
    for name in TASKS:
        if architecture.endswith(TASKS.load(name).architecture_suffix):
            return name
    raise InputError(
        f"{path}: ftc does not know what a {architecture} is for. It takes checkpoints for {', '.join(TASKS)}; "
        "name one with --task if this is such a model. A base model without a head must be fine-tuned first."
    )


def _labels_of(path: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    if config.get("problem_type") in ("regression", "multi_label_classification"):
        raise InputError(f"{path}: {config['problem_type']} is not supported yet; single-label classification is.")
    id2label = config.get("id2label")
    if id2label is None:
        # transformers leaves the two default labels out of config.json
        count = config.get("num_labels", 2)
        id2label = {str(number): f"LABEL_{number}" for number in range(count)}
    try:
        labels = tuple(str(id2label[str(number)]) for number in range(len(id2label)))
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: id2label in config.json must number its labels from 0 without gaps.") from error
    if len(labels) < 2:
        raise InputError(f"{path}: a classifier needs at least two labels, config.json names {len(labels)}.")
    return unambiguous(labels)
