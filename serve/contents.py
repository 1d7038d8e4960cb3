"""The files of an edge bundle, by name."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftc import golden
from ftc.errors import InputError
from ftc.tasks.encoding import TOKENIZER_FILE
from ftc.tasks.task import open_task
from serve import card, sbom

if TYPE_CHECKING:
    from ftc.artifact import Artifact

MODEL_FILES = {"onnx": "model.onnx", "tflite": "model.tflite"}
"""By the format of the artifact."""

DECODER = "decode.py"

TOLERANCE = 1e-5
"""Largest difference of a score (0-1) between the decoder on this processor and the artifact's own answers."""

SCHEMA = 1
"""Of `bundle.json`."""


def needs(artifact: Artifact) -> tuple[str, ...]:
    """The packages that the decoder imports for this artifact."""
    runtime = {"onnx": "onnxruntime", "tflite": "ai-edge-litert"}[artifact.manifest.format]
    # no tokenizer of texts is numpy alone, and resizing an image as in evaluation takes Pillow's filters
    modality = {"text": "tokenizers", "image": "pillow"}[artifact.manifest.preprocessing.kind]
    return ("numpy", runtime, modality)


def contents(artifact: Artifact, measured: Mapping[str, Any] | None, pins: Sequence[str]) -> dict[str, bytes]:
    """Every file of the bundle by its name, with the sums of all others in `SHA256SUMS`.

    :param pins: packages of the decoder, as `name==version`
    :raises InputError: if the model is more than one file
    """
    manifest = artifact.manifest
    model = MODEL_FILES[manifest.format]
    if Path(manifest.run.entry).name != model or len([f for f in manifest.files if f.path.startswith("model")]) != 1:
        raise InputError(f"{artifact.path}: a model in several files does not fit an edge bundle.")
    files = {model: artifact.model_path.read_bytes()}
    if manifest.preprocessing.kind == "text":
        files[TOKENIZER_FILE] = artifact.file(TOKENIZER_FILE).read_bytes()
    files["labels.txt"] = "".join(f"{label}\n" for label in manifest.labels).encode()
    files["bundle.json"] = _json(_description(artifact, model))
    files |= _golden(artifact)
    files["MODEL_CARD.md"] = card.model_card(manifest, measured).encode()
    files["LICENSE_NOTE.txt"] = card.LICENSE_NOTE.encode()
    files["requirements.txt"] = "".join(f"{pin}\n" for pin in pins).encode()
    files[DECODER] = (Path(__file__).parent / "decoder" / DECODER).read_bytes()
    files["sbom.cdx.json"] = _json(sbom.cyclonedx(manifest, files, pins))
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    files["SHA256SUMS"] = "".join(sums).encode()
    return files


def _description(artifact: Artifact, model: str) -> dict[str, Any]:
    """What the decoder reads: how an input becomes tensors, and tensors become scores."""
    manifest = artifact.manifest
    return {
        "schema": SCHEMA,
        "name": manifest.name,
        "id": manifest.id,
        "task": manifest.task,
        "format": manifest.format,
        "model": model,
        "labels": list(manifest.labels),
        "preprocessing": asdict(manifest.preprocessing),
        "inputs": [asdict(spec) for spec in manifest.inputs],
        "outputs": [asdict(spec) for spec in manifest.outputs],
        "settings": dict(manifest.run.session_config),
        "requirements_of_the_processor": list(manifest.run.requirements),
        "lineage": [ancestor.name for ancestor in manifest.lineage],
    }


def _golden(artifact: Artifact) -> dict[str, bytes]:
    """Examples with the scores that this artifact gives them: texts in JSON, images as PNG."""
    kept = golden.read(artifact.path)
    expected = open_task(artifact).decode({artifact.manifest.output: kept.expected})
    entries, files = [], {}
    for number, (example, answer) in enumerate(zip(kept.examples, expected, strict=True)):
        entry: dict[str, Any] = {"label": answer.label, "scores": answer.scores}
        if isinstance(example, str | tuple):
            entry["text"] = example if isinstance(example, str) else list(example)
        else:
            name = f"golden/{number:03}.png"
            files[name] = _png(example)
            entry["image"] = name
        entries.append(entry)
    return {"golden/golden.json": _json({"tolerance": TOLERANCE, "examples": entries}), **files}


def _png(pixels: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()
