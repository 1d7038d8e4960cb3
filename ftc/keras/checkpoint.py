"""Keras models, opened in place as root artifacts and never changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ftc.artifact import Artifact, content_id, sha256
from ftc.console import caution, progress
from ftc.declared import labels_beside
from ftc.errors import InputError
from ftc.keras.files import check, model_files
from ftc.keras.model import Anatomy, anatomy, load_network
from ftc.keras.preprocessing import image_preprocessing
from ftc.manifest import Ancestor, Facts, Manifest, RunInstructions, TensorSpec

if TYPE_CHECKING:
    from ftc.declared import Declared

FORMAT = "keras"
TASK = "image-classification"


def open_checkpoint(path: Path, declared: Declared) -> Artifact:
    """Open a Keras model as a root artifact: loaded once, to see its shapes, its end and that its weights are sound.

    Its id covers labels and preprocessing too: they are no part of its files, and other ones make it another model.

    :raises InputError: if it is damaged, needs code of its own or is no image classifier, or if nothing says its
        labels or its preprocessing, or these do not fit
    """
    if declared.task not in (None, TASK):
        raise InputError(f"{path} is a Keras model; of these ftc takes {TASK} alone, not {declared.task!r}.")
    if declared.tokenizer is not None:
        raise InputError(f"{path} is a Keras model; of these ftc takes {TASK} alone: leave out --tokenizer.")
    check(path)
    labels = declared.labels or labels_beside(path)
    with progress("opening the Keras model"):
        network = load_network(path)
        preprocessing = image_preprocessing(path, network.input, network.dtype, network.shape, declared)
        height, width = preprocessing.height, preprocessing.width
        shape = (height, width, 3) if preprocessing.layout == "NHWC" else (3, height, width)
        seen = anatomy(network, shape)
    _check_labels(path, labels, seen)
    files = model_files(path)
    digests = {str(file.relative_to(path) if path.is_dir() else "."): sha256(file) for file in files}
    about = {"files": digests, "labels": labels, "preprocessing": asdict(preprocessing)}
    root_id = content_id("", FORMAT, {"about": json.dumps(about, sort_keys=True), "task": TASK}, None)
    name = path.resolve().stem if path.is_file() else path.resolve().name
    manifest = Manifest(
        id=root_id,
        name=name,
        format=FORMAT,
        task=TASK,
        labels=labels,
        preprocessing=preprocessing,
        lineage=(Ancestor(root_id, name, FORMAT, None),),
        root_path=str(path.resolve()),
        inputs=(TensorSpec(network.input, "float32", ("batch", *shape)),),
        outputs=(TensorSpec(_output(path, seen), "float32", ("batch", len(labels))),),
        run=RunInstructions("keras", ".", {}),
        facts=Facts(
            parameters=seen.parameters,
            multiply_accumulates=seen.multiply_accumulates,
            reference_input=f"1 x {' x '.join(map(str, shape))} pixels",
            size_bytes=sum(file.stat().st_size for file in files),
            convolution_share=seen.convolution_share,
        ),
    )
    return Artifact(path, manifest)


def _check_labels(path: Path, labels: tuple[str, ...], seen: Anatomy) -> None:
    if len(labels) != seen.classes:
        raise InputError(
            f"{path} has {seen.classes} outputs, but {len(labels)} labels were given "
            f"({', '.join(labels[:3])}, ...). Give one label for each output, in their order."
        )


def _output(path: Path, seen: Anatomy) -> str:
    if seen.ends_in == "Sigmoid":
        caution(f"{path} ends in a sigmoid for each class; the class with the largest one is taken as the answer.")
    return "logits" if seen.ends_in is None else "probabilities"
