"""Applying a step: the template around every method that checks, names, compares and seals."""

from __future__ import annotations

import gc
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from compress import parity
from compress.step import Step, options_of, result_id
from compress.steps import STEPS
from ftc import golden
from ftc.artifact import Artifact, check_replaceable, draft, is_artifact, open_artifact, seal
from ftc.console import progress, say
from ftc.errors import InputError
from ftc.foreign.files import refuse
from ftc.golden import Golden
from ftc.manifest import Ancestor, DataRecord, StepRecord
from ftc.quiet import quiet_libraries
from ftc.tasks import TASKS
from ftc.tasks.encoding import TOKENIZER_FILE
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    import numpy as np

    from ftc.data import Dataset

_RECORDED = (
    "ftc",
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "torch-pruning",
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


class Occupied(InputError):
    """Other content stands where a result would go.

    :param target: that place
    """

    def __init__(self, target: Path) -> None:
        super().__init__(
            f"{target} exists already with other content. Choose another name with -o, or replace it with --force."
        )
        self.target = target

    def on_the_way(self) -> InputError:
        """The same where the result would be one of a request's intermediate ones, which neither option is for."""
        return InputError(
            f"{self.target}, which this request makes on the way, exists already with other content, such as of other "
            "rows or options. Remove it, or give another directory with --artifacts."
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
    if source.manifest.is_foreign:
        refuse(Path(source.manifest.root_path), f"taken by {step.name}")
    check_format(step.name, source)
    if step.needs_data and data is None:
        raise InputError(
            f"{step.name} needs data to calibrate on: give --data FILE (train or dev rows, not test rows)."
        )
    new_id = result_id(step, source, data)
    check_target(target, source, step.name, replace_existing=replace_existing)
    if is_artifact(target) and not replace_existing:
        return existing(target, new_id)
    with draft(target) as directory, quiet_libraries():
        parent = _golden_of(source)
        made = step.run(source, directory, data)
        gc.collect()  # exporters leave cycles that would hold the whole network while the result is opened
        name = f"{source.manifest.name}-{step.suffix}"
        manifest = replace(
            source.manifest,
            id=new_id,
            name=name,
            format=entry.makes,
            lineage=(
                *source.manifest.lineage,
                Ancestor(new_id, name, entry.makes, StepRecord(step.name, options_of(step))),
            ),
            preprocessing=made.preprocessing or source.manifest.preprocessing,
            run=made.run,
            inputs=made.inputs,
            outputs=made.outputs,
            facts=made.facts,
            notes=(*source.manifest.notes, *made.notes),
            pruning=made.pruning or source.manifest.pruning,
            training=made.training or source.manifest.training,
            data=DataRecord(data.source, data.fingerprint, len(data)) if data is not None else None,
            versions=versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        _carry_tokenizer(source, directory)
        with progress("comparing with the parent on the golden examples"):
            result = Artifact(directory, manifest)
            reference = _reference(source, result, parent)
            record, own = parity.compare(result, parent.examples, reference, lossy=step.lossy)
        golden.write(replace(parent, expected=own), directory)
        try:
            sealed = seal(directory, target, replace(manifest, parity=record), replace_existing=replace_existing)
        except InputError:
            if replace_existing or not is_artifact(target):
                raise
            sealed = existing(target, new_id)  # another run of the same command was sooner
        if made.left is not None:
            shutil.rmtree(made.left, ignore_errors=True)
        return sealed


def check_target(target: Path, source: Artifact, step: str, *, replace_existing: bool) -> None:
    """Refuse a place whose content shows, before any work, that a result of this step cannot go there.

    :param source: what the result is made of, or an ancestor of that
    :raises InputError: if it is the source itself, no artifact, or an artifact of another root or another step
    """
    if os.path.realpath(target) in map(os.path.realpath, (str(source.path), source.manifest.root_path)):
        raise InputError(f"{target} is what the result would be made of; choose another name with -o.")
    check_replaceable(target)
    if is_artifact(target) and not replace_existing:
        there = open_artifact(target).manifest
        made_by = there.lineage[-1].step
        if there.root_id != source.manifest.root_id or made_by is None or made_by.name != step:
            raise Occupied(target)


def check_format(step: str, source: Artifact) -> None:
    """:raises InputError: if a step does not take what the source is"""
    takes = STEPS.entries[step].takes
    if source.manifest.format != takes:
        raise InputError(f"{step} takes {takes}; {source.path} is {source.manifest.format}.")


def existing(target: Path, wanted_id: str) -> Artifact:
    """What stands at a place, if it is just what would be made.

    :raises InputError: if it is something else
    """
    there = open_artifact(target)
    if there.manifest.id == wanted_id:
        say(f"{target} is already there with just this content (id {wanted_id}); taken as it is.")
        return there
    raise Occupied(target)


def _golden_of(source: Artifact) -> Golden:
    if not source.manifest.is_root:
        return golden.read(source.path)
    examples = TASKS.load(source.manifest.task).golden_examples()
    with progress("computing the golden examples' answers with the checkpoint"):
        logits = parity.answers(source, examples)
    return Golden(tuple(examples), logits, logits)


def _reference(source: Artifact, result: Artifact, kept: Golden) -> np.ndarray:
    before, after = source.manifest.preprocessing, result.manifest.preprocessing
    if before.kind == "text" and after.kind == "text" and after.max_length < before.max_length:
        # the result cuts texts shorter: what is compared is the answers to the same tokens
        return parity.answers(source, kept.examples, open_task(result))
    return kept.expected


def _carry_tokenizer(source: Artifact, directory: Path) -> None:
    if source.manifest.preprocessing.kind != "text" or (directory / TOKENIZER_FILE).exists():
        return  # a step that changed it has written it
    if source.manifest.is_root:
        from ftc.huggingface.tokenizer import load_tokenizer

        tokenizer = load_tokenizer(source.path).backend_tokenizer
        (directory / TOKENIZER_FILE).write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
    else:
        shutil.copyfile(source.file(TOKENIZER_FILE), directory / TOKENIZER_FILE)


def versions() -> dict[str, str]:
    """Versions of what is installed that has a part in what artifacts are."""
    installed = {distribution.name for distribution in metadata.distributions()}
    return {name: metadata.version(name) for name in _RECORDED if name in installed}
