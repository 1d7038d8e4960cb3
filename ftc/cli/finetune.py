"""`ftc finetune`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftc.cli import options
from ftc.cli.training import NAMES, training_options

if TYPE_CHECKING:
    from ftc.data import Dataset


@click.command()
@click.argument("base", type=options.DIRECTORY, metavar="BASE")
@click.option("--data", metavar="DATA", required=True, help="Labelled rows to learn from.")
@click.option("--validation", metavar="DATA", help="Rows that say which weights are best.  [default: some of the data]")
@click.option("--test", metavar="DATA", help="Rows that say how good they are.  [default: some of the data]")
@click.option("--lora", type=int, metavar="RANK", help="Train low-rank updates instead of the weights themselves.")
@training_options
@options.column_options
@click.option("-o", "--output", type=options.DIRECTORY, help="Where the checkpoint goes.  [default: ./<base>-<data>]")
@options.force_option
@options.json_option
def finetune(
    base: Path,
    data: str,
    validation: str | None,
    test: str | None,
    lora: int | None,
    output: Path | None,
    force: bool,
    as_json: bool,
    **others: Any,
) -> None:
    """Train a pretrained text encoder or image model to tell the classes of your data.

    BASE is what save_pretrained wrote, with or without a head; a fresh one is made for the classes that DATA names. Of
    each class, 7 : 2 : 1 rows train, validate and test, unless files are given for that, whose labels are matched by
    name; beside a file that tests, a tenth validates, or about 500 rows if that is fewer. Rows that occur twice, or on
    both sides, are left out and counted. The result is a checkpoint like any other.

    \b
    ftc finetune base/ --data train.csv
    ftc finetune base/ --data train.csv --test test.csv -o intents
    ftc finetune base/ --data train.csv --lora 16
    ftc quantize intents
    """
    from ftc.cli.show import made
    from ftc.foreign.files import refuse
    from ftc.huggingface.base import open_base
    from ftc.quiet import quiet_libraries

    refuse(base, "fine-tuned")
    with quiet_libraries():
        from compress.finetuning import finetune as run

        modality = open_base(base).modality
    training = {name: others.pop(name) for name in NAMES}

    def load(source: str, like: Dataset | None) -> Dataset:
        classes, owner = (None, None) if like is None else (like.classes, like.source)
        return options.load_rows(source, modality, classes, need_labels=True, owner=owner, **others)

    rows = load(data, None)
    result = run(
        base,
        output or Path(f"{base.resolve().name}-{Path(data).stem}"),
        data=rows,
        validation=None if validation is None else load(validation, rows),
        test=None if test is None else load(test, rows),
        given=options.given(lora=lora, **training),
        force=force,
    )
    made(result, as_json)
