"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from compress.choices import Graph, Hint, Precision
from ftc.durations import seconds
from ftc.search.request import MOST_DROP

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset
    from ftc.declared import Declared

Command = TypeVar("Command", bound=Callable[..., Any])

DIRECTORY = click.Path(path_type=Path)


class Duration(click.ParamType[float]):
    """A time such as 90s, 15m or 2h; seconds without a unit."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _drop(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 <= value <= MOST_DROP:
        points = f" If {value:g} points were meant, write {value / 100:g}." if value > MOST_DROP else ""
        raise click.BadParameter(f"{value:g} is no part of the metric from 0 to {MOST_DROP:g}.{points}")
    return value


max_drop_option = click.option(
    "--max-drop",
    type=float,
    callback=_drop,
    default=0.01,
    show_default=True,
    metavar="PART",
    help="Accuracy budget: what the metric may lose against the checkpoint; 0.01 is one point.",
)
source_argument = click.argument("source", type=DIRECTORY, metavar="CHECKPOINT")
artifacts_option = click.option(
    "--artifacts", type=DIRECTORY, default=Path("artifacts"), show_default=True, help="Where artifacts live."
)
output_option = click.option(
    "-o", "--output", type=DIRECTORY, help="Where the result goes.  [default: ARTIFACTS/<checkpoint>-<step>]"
)
force_option = click.option("--force", is_flag=True, help="Replace what stands at the output.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")

_DECLARED = (
    click.option("--task", metavar="TASK", help="What the checkpoint is for, if its architecture does not say."),
    click.option(
        "--labels",
        type=DIRECTORY,
        metavar="FILE",
        help="Names of the classes, if the model does not hold them: txt (one on each line) or json.",
    ),
    click.option(
        "--processor",
        metavar="PATH|NAME",
        help="Preprocessing, if the model does not hold it: a preprocessor_config.json, or tf, torch, caffe, raw.",
    ),
    click.option(
        "--tokenizer", type=DIRECTORY, metavar="DIR", help="Tokenizer of a text model that does not hold one."
    ),
)

_COLUMNS = (
    click.option("--text-column", metavar="NAME", help="Column with the text (the first of a pair)."),
    click.option("--text-pair-column", metavar="NAME", help="Column with the second text of a pair."),
    click.option("--label-column", metavar="NAME", help="Column with the label, by name or by number."),
    click.option("--image-column", metavar="NAME", help="Column with the image's file name."),
    click.option("--split", metavar="NAME", help="Which split of a data set that has several."),
)


def declared_options(command: Command) -> Command:
    """Add the options that say of a model what its own files do not."""
    for option in reversed(_DECLARED):
        command = option(command)
    return command


def declared(task: str | None, labels: Path | None, processor: str | None, tokenizer: Path | None) -> Declared:
    """What the user said of a model."""
    from ftc.declared import Declared, read_labels

    return Declared(task, read_labels(labels) if labels is not None else None, processor, tokenizer)


def _lengths(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    try:
        return tuple(int(part) for part in value.split(",")) if value is not None else None
    except ValueError:
        raise click.BadParameter(f"{value!r}: give numbers of tokens with commas between them: 16,32,64") from None


_FORMS = (
    click.option(
        "--graph",
        type=click.Choice(Graph, case_sensitive=False),
        help="ONNX: fused has operators of ONNX Runtime, faster there; plain only standard ones.  [default: fused]",
    ),
    click.option(
        "--precision",
        type=click.Choice(Precision, case_sensitive=False),
        help="OpenVINO: what it computes in.  [default: f32]",
    ),
    click.option(
        "--hint",
        type=click.Choice(Hint, case_sensitive=False),
        help="OpenVINO: throughput runs the rows of a batch side by side.  [default: latency]",
    ),
    click.option(
        "--lengths",
        callback=_lengths,
        metavar="N,N,...",
        help="TFLite, OpenVINO: tokens of the length buckets.  [default: fitted to --data, or by the format]",
    ),
)


def form_options(command: Command) -> Command:
    """Add the options that choose among the forms of a format; what the format does not have is refused."""
    for option in reversed(_FORMS):
        command = option(command)
    return command


def column_options(command: Command) -> Command:
    """Add the options that override which columns of the data are taken."""
    for option in reversed(_COLUMNS):
        command = option(command)
    return command


def given(**values: Any) -> dict[str, Any]:
    """The options of steps that the user gave: what is None was left to the step."""
    return {name: value for name, value in values.items() if value is not None}


def load_data(source: str, artifact: Artifact, *, need_labels: bool, **columns: str | None) -> Dataset:
    """Load the data that `--data` and the column options name, matched to an artifact's labels."""
    from ftc.tasks import TASKS

    modality = TASKS.load(artifact.manifest.task).modality
    return load_rows(source, modality, artifact.manifest.labels, need_labels=need_labels, **columns)


def load_rows(
    source: str,
    modality: Literal["text", "image"],
    classes: Sequence[str] | None,
    *,
    need_labels: bool,
    owner: str | None = None,
    **columns: str | None,
) -> Dataset:
    """Load the data that the column options name, matched to classes, or with those that it names itself.

    :param owner: the data that the classes come from, None for a checkpoint's
    """
    from ftc.data import Columns, load

    return load(
        source,
        modality=modality,
        classes=classes,
        columns=Columns(
            text=columns.get("text_column"),
            text_pair=columns.get("text_pair_column"),
            label=columns.get("label_column"),
            image=columns.get("image_column"),
        ),
        need_labels=need_labels,
        split=columns.get("split"),
        owner=owner,
    )


def refuse_others(used: frozenset[str], beside: str) -> None:
    """Refuse what was given to the current command and says nothing in its present use.

    :param used: names of the parameters that mean something
    :param beside: the option that makes the others meaningless, with what is to be known of it
    :raises InputError: if another was given
    """
    known = frozenset(parameter.name or "" for parameter in click.get_current_context().command.params)
    refuse(known - used, beside)


def refuse(meaningless: frozenset[str], beside: str) -> None:
    """Refuse what was given to the current command and would do nothing.

    :param meaningless: names of the parameters that would
    :param beside: what makes them meaningless, with what to do instead
    :raises InputError: if one of them was given
    """
    from click.core import ParameterSource

    from ftc.errors import InputError

    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in meaningless and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            given = _as_given(parameter, context.params[name]) if isinstance(parameter, click.Option) else name.upper()
            if isinstance(parameter, click.Option) or context.params[name]:
                raise InputError(f"{given} does not go with {beside}")


def _as_given(option: click.Option, value: object) -> str:
    return (option.secondary_opts if option.secondary_opts and value is False else option.opts)[0]
