"""Applying a step: the template around every method that checks, names, compares and seals."""

from __future__ import annotations

import gc
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from compress import parity
from compress.step import Step, options_of
from compress.steps import STEPS
from ftc import golden
from ftc.artifact import Artifact, content_id, draft, is_artifact, open_artifact, seal
from ftc.console import progress, say
from ftc.errors import InputError
from ftc.golden import Golden
from ftc.manifest import Ancestor, DataRecord, StepRecord
from ftc.quiet import quiet_libraries
from ftc.tasks import TASKS
from ftc.tasks.encoding import TOKENIZER_FILE

if TYPE_CHECKING:
    from ftc.data import Dataset

_RECORDED = (
    "ftc",
    "torch",
    "transformers",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "litert-torch",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "openvino",
    "nncf",
    "tensorflow",
    "keras",
    "numpy",
)


def apply(
    step: Step, source: Artifact, target: Path, *, data: Dataset | None = None, replace_existing: bool = False
) -> Artifact:
    """Run one step and seal its result under `target`, unless just that result stands there already.

    The parent is only read. What is made is compared with it on the golden examples before it gets its name.

    :raises InputError: if the step does not take the source's format, needs data, or something else is at `target`
    :raises ParityError: if a float export does not reproduce its parent
    :raises RunError: if the work fails, such as on a full disk
    """
    entry = STEPS.entries[step.name]
    if source.manifest.format != entry.takes:
        raise InputError(f"{step.name} takes {entry.takes}; {source.path} is {source.manifest.format}.")
    if step.needs_data and data is None:
        raise InputError(
            f"{step.name} needs data to calibrate on: give --data FILE (train or dev rows, not test rows)."
        )
    options = options_of(step)
    step_id = f"{step.name}@{step.revision}"
    new_id = content_id(source.manifest.id, step_id, options, data.fingerprint if data is not None else None)
    if target.exists() and not replace_existing:
        existing = _existing(target, new_id)
        say(f"{target} is already there with just this content (id {new_id}); taken as it is.")
        return existing
    with draft(target) as directory, quiet_libraries():
        parent = _golden_of(source)
        made = step.run(source, directory, data)
        gc.collect()  # exporters leave cycles that would hold the whole network while the result is opened
        name = f"{source.manifest.lineage[0].name}-{step.suffix}"
        manifest = replace(
            source.manifest,
            id=new_id,
            name=name,
            format=entry.makes,
            lineage=(
                *source.manifest.lineage,
                Ancestor(new_id, name, entry.makes, StepRecord(step.name, options)),
            ),
            preprocessing=made.preprocessing or source.manifest.preprocessing,
            run=made.run,
            inputs=made.inputs,
            outputs=made.outputs,
            facts=made.facts,
            notes=(*source.manifest.notes, *made.notes),
            data=DataRecord(data.source, data.fingerprint, len(data)) if data is not None else None,
            versions=_versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        _carry_tokenizer(source, directory)
        with progress("comparing with the parent on the golden examples"):
            record, own = parity.compare(
                Artifact(directory, manifest), parent.examples, parent.expected, lossy=step.lossy
            )
        golden.write(replace(parent, expected=own), directory)
        return seal(directory, target, replace(manifest, parity=record), replace_existing=replace_existing)


def _existing(target: Path, wanted_id: str) -> Artifact:
    if is_artifact(target):
        existing = open_artifact(target)
        if existing.manifest.id == wanted_id:
            return existing
    raise InputError(
        f"{target} exists already with other content. Choose another name with -o, or replace it with --force."
    )


def _golden_of(source: Artifact) -> Golden:
    if not source.manifest.is_root:
        return golden.read(source.path)
    examples = TASKS.load(source.manifest.task).golden_examples()
    with progress("computing the golden examples' answers with the checkpoint"):
        logits = parity.answers(source, examples)
    return Golden(tuple(examples), logits, logits)


def _carry_tokenizer(source: Artifact, directory: Path) -> None:
    if source.manifest.preprocessing.kind != "text":
        return
    if source.manifest.is_root:
        from ftc.huggingface.tokenizer import load_tokenizer

        tokenizer = load_tokenizer(source.path).backend_tokenizer
        (directory / TOKENIZER_FILE).write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
    else:
        shutil.copyfile(source.file(TOKENIZER_FILE), directory / TOKENIZER_FILE)


def _versions() -> dict[str, str]:
    installed = {distribution.name for distribution in metadata.distributions()}
    return {name: metadata.version(name) for name in _RECORDED if name in installed}
