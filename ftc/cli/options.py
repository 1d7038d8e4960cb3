"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Dataset

Command = TypeVar("Command", bound=Callable[..., Any])

DIRECTORY = click.Path(path_type=Path)

source_argument = click.argument("source", type=DIRECTORY, metavar="CHECKPOINT")
task_option = click.option(
    "--task", metavar="TASK", help="What the checkpoint is for, if its architecture does not say."
)
artifacts_option = click.option(
    "--artifacts", type=DIRECTORY, default=Path("artifacts"), show_default=True, help="Where artifacts live."
)
output_option = click.option(
    "-o", "--output", type=DIRECTORY, help="Where the result goes.  [default: ARTIFACTS/<checkpoint>-<step>]"
)
force_option = click.option("--force", is_flag=True, help="Replace what stands at the output.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")

_COLUMNS = (
    click.option("--text-column", metavar="NAME", help="Column with the text (the first of a pair)."),
    click.option("--text-pair-column", metavar="NAME", help="Column with the second text of a pair."),
    click.option("--label-column", metavar="NAME", help="Column with the label, by name or by number."),
    click.option("--image-column", metavar="NAME", help="Column with the image's file name."),
    click.option("--split", metavar="NAME", help="Which split of a data set that has several."),
)


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
    from ftc.data import Columns, load
    from ftc.tasks import TASKS

    return load(
        source,
        modality=TASKS.load(artifact.manifest.task).modality,
        classes=artifact.manifest.labels,
        columns=Columns(
            text=columns.get("text_column"),
            text_pair=columns.get("text_pair_column"),
            label=columns.get("label_column"),
            image=columns.get("image_column"),
        ),
        need_labels=need_labels,
        split=columns.get("split"),
    )
