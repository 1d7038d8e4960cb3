"""The verbs `export` and `quantize`: the steps a request needs, in order, each an artifact of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compress.apply import Occupied
from compress.chain import Given, apply_all, check_given, check_understood, options_of_step
from compress.convolutional import has_attention, is_convolutional
from compress.route import formats, modes, route
from compress.steps import STEPS, Mode
from ftc.checkpoint import open_any
from ftc.console import caution
from ftc.errors import InputError, MissingExtra
from ftc.quiet import quiet_libraries

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset

_DEFAULT_FORMATS = {"huggingface": "onnx", "keras": "tflite"}
"""What checkpoints are quantized to where nothing else is asked for."""

PRUNING_ROWS = 2048
"""What pruning looks at: of texts, and of images that are small enough."""

_PRUNING_PIXELS = 256 * 224 * 224
"""An image of the usual size is as much work as 200 tokens, and its activations take as much room."""


def export(
    source: Artifact,
    artifacts: Path,
    *,
    to: str = "onnx",
    given: Given | None = None,
    data: Dataset | None = None,
    output: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Export a checkpoint to a format, in float.

    :param artifacts: where results go, named after the checkpoint, unless `output` names a place
    :param given: options of the steps on the way
    :param data: rows whose lengths the export may be fitted to
    :raises InputError: if no steps lead from the source's format to `to`, or an option belongs to none of them
    """
    names = route(source.manifest.format, to)
    if not names:
        raise InputError(f"{source.path} is {to} already.")
    return apply_all(names, source, artifacts, given or {}, data, output, force)


def export_all(
    source: Artifact,
    artifacts: Path,
    *,
    given: Given | None = None,
    data: Dataset | None = None,
    force: bool = False,
) -> list[Artifact]:
    """Export a checkpoint to every format whose libraries are installed; the others are named aloud.

    :raises InputError: if none of them are, or an option belongs to no format
    """
    given = given or {}
    installed: dict[str, frozenset[str]] = {}
    for to in formats(source.manifest.format):
        try:
            installed[to] = frozenset().union(*map(options_of_step, route(source.manifest.format, to)))
        except MissingExtra as error:
            caution(f"not exported to {to}: {error}")
    if not installed:
        raise InputError(f"{source.path} is {source.manifest.format}, of which nothing installed makes another format.")
    check_understood(given, frozenset().union(*installed.values()), " and ".join(installed))
    return [
        export(
            source,
            artifacts,
            to=to,
            given={name: value for name, value in given.items() if name in understood},
            data=data,
            force=force,
        )
        for to, understood in installed.items()
    ]


def quantize(
    source: Artifact,
    artifacts: Path,
    *,
    to: str | None = None,
    mode: Mode | None = None,
    given: Given | None = None,
    data: Dataset | None = None,
    rows: int = 256,
    output: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Quantize a checkpoint, exporting it first, or an artifact that is exported already.

    The export stays in `artifacts` as an artifact of its own: it is what the result is compared with.

    :param to: the format; None for the source's own, and ONNX for a checkpoint, TFLite for a Keras model
    :param mode: None for dynamic where the format has it and convolutions do not do most of the work, else static
    :param data: rows to calibrate on, for static quantization
    :param rows: how many of them are taken, drawn with a fixed seed
    :raises InputError: if the request contradicts itself or the model, or the source is quantized already
    """
    for link in source.manifest.lineage:
        if link.step is not None and STEPS.entries[link.step.name].mode is not None:
            raise InputError(f"{source.path} is quantized already; quantize the float artifact it was made from.")
    if to is None:
        to = _DEFAULT_FORMATS.get(source.manifest.format, source.manifest.format)
    convolutional = is_convolutional(source)
    if mode is None:
        mode = "dynamic" if (to, "dynamic") in modes(source.manifest.format) and not convolutional else "static"
    if mode == "dynamic" and convolutional:
        raise _slower_convolutions(source)
    names = route(source.manifest.format, to, mode)
    calibrated, fitted = _looks_at(names)
    if not (calibrated or fitted) and data is not None:
        raise InputError(f"{mode} quantization takes no calibration data; did you mean --mode static?")
    if calibrated and data is None:
        raise InputError(
            f"{source.path}: static INT8{', which a convolutional model needs,' if convolutional else ''} measures "
            "ranges on data: give --data DATA, a few hundred training or validation rows. "
            "Random inputs would give wrong ranges."
        )
    if data is not None:
        data = data.sample(rows, seed=0)
        for _ in data.examples:  # images are decoded when asked for: a broken one is found now, not after the export
            pass
    return apply_all(names, source, artifacts, given or {}, data, output, force)


def _slower_convolutions(source: Artifact) -> InputError:
    return InputError(
        f"{source.path} is a convolutional model: its convolutions run slower in dynamic INT8 than in float. "
        "Use --mode static with --data DATA: a few hundred training or validation images."
    )


def takes_data(source: Artifact, to: str, mode: Mode) -> bool:
    """Whether quantizing looks at data: to calibrate on it, or to fit lengths to it."""
    return any(_looks_at(route(source.manifest.format, to, mode)))


def _looks_at(names: Sequence[str]) -> tuple[bool, bool]:
    """Whether the last of these steps calibrates on data, and whether any of them fits lengths to it."""
    with quiet_libraries():
        return STEPS.load(names[-1]).needs_data, any("lengths" in options_of_step(name) for name in names)


def prune(
    source: Artifact,
    artifacts: Path,
    *,
    data: Dataset,
    vocabulary: bool = False,
    given: Given | None = None,
    rows: int | None = None,
    output: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Cut a checkpoint's network down; the result is a checkpoint again, to be exported and quantized like one.

    :param data: rows that decide what goes; if they have labels, some of them score the result instead
    :param vocabulary: trim the vocabulary to the tokens of the data, instead of the encoder layers
    :param given: options of the step
    :param rows: how many of them are taken, drawn with a fixed seed; None for 2,048 texts, as many images of at most
        64 x 64 pixels and 256 of 224 x 224, and for every row of a vocabulary's data
    :raises InputError: if the source is no checkpoint of an architecture that can be pruned
    """
    if source.manifest.format != "huggingface":
        raise InputError(
            f"{source.path} is {source.manifest.format}; Hugging Face checkpoints are pruned, before they are exported."
        )
    given = given or {}
    step = _cut(source, given, vocabulary)
    taken = rows or (len(data) if vocabulary else _pruning_rows(source))
    return apply_all((step,), source, artifacts, given, data.sample(taken, seed=0), output, force)


def _cut(source: Artifact, given: Given, vocabulary: bool) -> str:
    """The step that a request to prune needs.

    :raises InputError: if it asks for two of them
    """
    if "layers" in given and ("keep" in given or vocabulary):
        other = "--vocabulary" if vocabulary else "--keep"
        raise InputError(f"--layers and {other} are two cuts: make the one, and then the other of its result.")
    if "target_speedup" in given and ({"layers", "keep"} & given.keys() or vocabulary):
        raise InputError("--target-speedup says how much goes, as --keep, --layers and --vocabulary do: choose one.")
    if vocabulary:
        return "trim-vocabulary"
    if "target_speedup" in given:
        return "prune-to-speed"
    if "layers" in given:
        return "drop-layers"
    return "prune-encoder" if has_attention(source) else "prune-channels"


def _pruning_rows(source: Artifact) -> int:
    spec = source.manifest.preprocessing
    if spec.kind == "text":
        return PRUNING_ROWS
    from compress.pruning.rows import LEAST_ROWS

    return max(LEAST_ROWS, min(PRUNING_ROWS, _PRUNING_PIXELS // (spec.height * spec.width)))


def distill(
    source: Artifact,
    artifacts: Path,
    *,
    data: Dataset,
    teacher: Artifact | None = None,
    student: Artifact | None = None,
    layers: int | None = None,
    given: Given | None = None,
    output: Path | None = None,
    force: bool = False,
) -> Artifact:
    """Train a small network to answer as a large one does; the result is a checkpoint again.

    :param source: the teacher, if a student or a number of layers is given; else the student
    :param data: rows, labelled or not; a part of them judges
    :param teacher: whom to learn from, if not the source; None for a student that was pruned means its root
    :param student: what learns
    :param layers: what learns is the source with only so many of its layers
    :param given: options of the step
    :raises InputError: if it is not clear who learns from whom, or they do not read and answer alike
    """
    if student is not None and layers is not None:
        raise InputError("--student names what learns, --layers makes it of the checkpoint: choose one.")
    if student is not None and teacher is not None:
        raise InputError(
            f"with --student, {source.path} is the teacher: leave out --teacher, or name that one in its place."
        )
    for one in (source, teacher, student):
        if one is not None and one.manifest.format != "huggingface":
            made_of = "" if one.manifest.is_root else f" It was made of {one.manifest.root_path}."
            raise InputError(
                f"{one.path} is {one.manifest.format}; Hugging Face checkpoints teach and learn, before they are "
                f"exported.{made_of}"
            )
    if layers is not None:
        check_given(("distill",), {"teacher": source, **(given or {})})  # before anything is made
        try:
            student = prune(source, artifacts, data=data, given={"layers": layers})
        except Occupied as error:
            raise error.on_the_way() from error
    if student is None:
        student, source = source, teacher or _root_of(source)
    return apply_all(
        ("distill",), student, artifacts, {"teacher": teacher or source, **(given or {})}, data, output, force
    )


def _root_of(pruned: Artifact) -> Artifact:
    if pruned.manifest.is_root:
        raise InputError(
            f"{pruned.path} would learn from itself. Name a larger --teacher, or what is to learn from it: "
            "--layers N for fewer of its layers, or --student for a pruned checkpoint."
        )
    root = open_any(Path(pruned.manifest.root_path))
    if root.manifest.id != pruned.manifest.root_id:
        raise InputError(
            f"{root.path}, which {pruned.path} came from, has changed since. Name a teacher with --teacher."
        )
    return root


def check(source: Artifact, verb: str, options: Given, made: str) -> str:
    """Refuse what can be told to be wrong before anything is made: of the order of verbs, and of a step's own options.

    What depends on the model's layers or on the data, a step says when it comes to it.

    :param source: the checkpoint that it begins with
    :param options: of the verb, with those that choose its steps: `to`, `mode`, `vocabulary`
    :param made: the format of what the verb takes
    :return: the format of what it makes
    :raises InputError: if no steps lead there, or one of them has no such option or refuses its value
    """
    given = {name: value for name, value in options.items() if name not in ("to", "mode", "rows", "vocabulary")}
    if options.get("rows", 1) < 1:
        raise InputError(f"--rows {options['rows']}: give at least one.")
    if verb in ("prune", "distill"):
        if made != "huggingface":
            raise InputError(f"{verb} takes a Hugging Face checkpoint, and this is {made}: it comes before any export.")
        step = "distill" if verb == "distill" else _cut(source, given, bool(options.get("vocabulary")))
        check_given((step,), {**({"teacher": source} if verb == "distill" else {}), **given})
        return made
    to, mode = options["to"], options.get("mode")
    names = route(made, to, mode)
    if not names:
        raise InputError(f"it is {to} already.")
    if mode == "dynamic" and is_convolutional(source):
        raise _slower_convolutions(source)
    check_given(names, given)
    return str(to)
