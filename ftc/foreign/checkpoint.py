"""Model files that other programs made, opened in place as root artifacts and tried out on the golden examples."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ftc.artifact import Artifact, content_id, sha256
from ftc.console import progress
from ftc.declared import labels_beside
from ftc.errors import InputError, MissingExtra
from ftc.foreign.files import FORMATS
from ftc.foreign.images import images
from ftc.foreign.ports import Contents, Port, answer, background, modality
from ftc.foreign.texts import texts
from ftc.manifest import IN_FILE, TOKENIZER, Ancestor, Facts, Manifest, Preprocessing, RunInstructions, TensorSpec
from ftc.runtimes import RUNTIMES
from ftc.runtimes.buckets import LENGTHS, MASK, powers_of_two
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks import TASKS
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    import numpy as np

    from ftc.declared import Declared

_RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert", "openvino": "openvino"}
_READERS = {name: f"ftc.foreign.{name}_file" for name in _RUNTIMES}

_SETTINGS = {"openvino": {"INFERENCE_PRECISION_HINT": "f32"}}
"""OpenVINO would compute in bfloat16 unasked on processors that have it, and what it is compared with does not."""

_OF_ONE = 5e-3
"""Half precision rounds a thousand probabilities by less than this in sum."""

_SOFTMAX_SCALE = 1 / 256
"""Of every softmax in a quantized TFLite file: its kernels know no other."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a file's inputs are made of.

    :param ports: the file's inputs by the names that the preprocessing gives them
    :param settings: what sessions must know besides
    """

    preprocessing: Preprocessing
    ports: Mapping[str, Port]
    settings: Mapping[str, str]
    reference: str
    tokenizer: Path | None = None


def open_checkpoint(path: Path, declared: Declared) -> Artifact:
    """Open a model file as a root artifact: read, run once on the golden examples, and never changed.

    Its id covers labels and preprocessing too: they are no part of the file, and other ones make it another model.

    :raises InputError: if it is damaged or no classifier, if it has inputs or outputs whose meaning cannot be told, or
        if nothing says its labels, its preprocessing or its tokenizer
    :raises MissingExtra: if what runs its format is not installed
    """
    kind = FORMATS[path.suffix.lower()]
    with progress(f"opening {path.name}"):
        contents = _read(path, kind)
        task = _task(path, contents, declared)
        labels = declared.labels or labels_beside(path)
        chosen = answer(path, contents.outputs, len(labels))
        wanted = _wanted(path, kind, contents, declared)
        artifact = Artifact(path, _manifest(path, kind, task, labels, contents, wanted, chosen))
        return Artifact(path, _tried(artifact, chosen))


def _read(path: Path, kind: str) -> Contents:
    try:
        reader = importlib.import_module(_READERS[kind])
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{path}, a file for {RUNTIMES.entries[_RUNTIMES[kind]].summary},",
            error.name or "",
            RUNTIMES.entries[_RUNTIMES[kind]].extra or "",
        ) from error
    contents: Contents = reader.read(path)
    return contents


def _task(path: Path, contents: Contents, declared: Declared) -> str:
    takes = modality(path, contents)
    fitting = [name for name in TASKS if TASKS.load(name).modality == takes]
    if declared.task is None:
        return fitting[0]
    if declared.task not in fitting:
        TASKS.load(declared.task)  # an unknown name is another mistake
        raise InputError(f"{path} takes {takes}s, so its task is {' or '.join(fitting)}, not {declared.task!r}.")
    return declared.task


def _wanted(path: Path, kind: str, contents: Contents, declared: Declared) -> _Wanted:
    if modality(path, contents) == "image":
        if declared.tokenizer is not None:
            raise InputError(f"{path} takes images: leave out --tokenizer.")
        spec = images(path, contents, declared)
        (port,) = contents.inputs
        shape = (spec.height, spec.width, 3) if spec.layout == "NHWC" else (3, spec.height, spec.width)
        ports = {spec.input: replace(port, shape=(port.shape[0], *shape))}
        return _Wanted(spec, ports, {}, f"1 x {' x '.join(map(str, shape))} pixels")
    if declared.processor is not None:
        raise InputError(f"{path} takes texts: leave out --processor.")
    found = texts(path, contents, declared)
    longest = found.preprocessing.max_length
    lengths: tuple[int, ...] = ()
    if found.length is not None:
        lengths = (found.length,)
    elif kind == "openvino" and MASK in found.ports:
        lengths = powers_of_two(longest)  # it compiles a graph for every length it meets
    settings = {LENGTHS: ",".join(map(str, lengths))} if lengths else {}
    settings[TOKENIZER] = str(found.tokenizer)
    return _Wanted(found.preprocessing, found.ports, settings, f"1 x {found.length or longest} tokens", found.tokenizer)


def _manifest(
    path: Path,
    kind: str,
    task: str,
    labels: tuple[str, ...],
    contents: Contents,
    wanted: _Wanted,
    chosen: Port,
) -> Manifest:
    about = {
        "files": {file.name: sha256(file) for file in contents.files},
        "labels": labels,
        "preprocessing": asdict(wanted.preprocessing),
        "tokenizer": sha256(wanted.tokenizer) if wanted.tokenizer is not None else None,
    }
    root_id = content_id("", kind, {"about": json.dumps(about, sort_keys=True), "task": task}, None)
    return Manifest(
        id=root_id,
        name=path.name,
        format=kind,
        task=task,
        labels=labels,
        preprocessing=wanted.preprocessing,
        lineage=(Ancestor(root_id, path.name, kind, None),),
        root_path=str(path.resolve()),
        inputs=tuple(_spec(name, port) for name, port in wanted.ports.items()),
        outputs=(_spec("logits", chosen),),
        run=RunInstructions(
            _RUNTIMES[kind],
            ".",
            {
                **{IN_FILE + name: port.name for name, port in wanted.ports.items()},
                IN_FILE + "logits": chosen.name,
                **_SETTINGS.get(kind, {}),
                **wanted.settings,
            },
        ),
        facts=Facts(0, None, wanted.reference, sum(file.stat().st_size for file in contents.files)),
    )


def _spec(name: str, port: Port) -> TensorSpec:
    names = ("batch", "length")
    shape = tuple(
        size if size is not None else names[place] if place < len(names) else f"size_{place}"
        for place, size in enumerate(port.shape)
    )
    return TensorSpec(name, port.dtype, shape, port.scale, port.zero_point if port.scale is not None else None)


def _tried(artifact: Artifact, chosen: Port) -> Manifest:
    """The manifest with the output named after what it turned out to be, its width known."""
    import numpy as np

    manifest = artifact.manifest
    task, session = open_task(artifact), open_session(artifact, SessionOptions())
    examples = task.golden_examples()
    answers = np.concatenate([session.run(task.encode([example]))["logits"] for example in examples])
    classes = len(manifest.labels)
    if answers.shape[1] != classes:
        raise InputError(
            background(artifact.path, classes)
            if answers.shape[1] == classes + 1
            else f"{artifact.path} answers {answers.shape[1]} numbers, but there are {classes} labels. "
            "Give the labels it was trained with, one for each output."
        )
    if not np.isfinite(answers).all():
        raise InputError(f"{artifact.path} answers with numbers that are not finite; export it again.")
    name = "probabilities" if _are_probabilities(answers, chosen) else "logits"
    settings = dict(manifest.run.session_config)
    settings[IN_FILE + name] = settings.pop(IN_FILE + "logits")
    output = replace(manifest.outputs[0], name=name, shape=(manifest.outputs[0].shape[0], classes))
    return replace(manifest, outputs=(output,), run=replace(manifest.run, session_config=settings))


def _are_probabilities(answers: np.ndarray, chosen: Port) -> bool:
    if (answers < 0).any() or (answers > 1 + _OF_ONE).any():
        return False
    if chosen.scale is not None:
        return chosen.scale == _SOFTMAX_SCALE  # rounded to 8 bits, a thousand of them do not sum to 1
    return bool((abs(answers.sum(axis=1) - 1) < _OF_ONE).all())
