"""`ftc distill`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ftc.cli import options
from ftc.cli.training import NAMES, training_options


@click.command()
@options.source_argument
@click.option("--data", metavar="DATA", required=True, help="Rows to learn on, labelled or not.")
@click.option("--teacher", type=options.DIRECTORY, metavar="CHECKPOINT", help="Whom to learn from.")
@click.option("--layers", type=click.IntRange(1), help="The student is CHECKPOINT with so many of its layers.")
@click.option("--student", type=options.DIRECTORY, metavar="CHECKPOINT", help="The student, such as a pruned one.")
@click.option("--temperature", type=float, help="By which logits are divided.  [default: 2]")
@click.option("--alpha", type=float, help="Weight of the teacher's answers; the rest is for labels.  [default: 1]")
@click.option("--hidden-weight", type=float, help="Weight of the states between layers.  [default: 0]")
@click.option("--dropout/--no-dropout", default=None, help="Leave the student its dropout.  [default: no]")
@click.option(
    "--fragments/--no-fragments",
    default=None,
    help="Learn on texts, too, that are part of other rows'.  [default: where labels count]",
)
@click.option(
    "--augment",
    type=click.IntRange(0),
    metavar="N",
    help="For each text, N more for the teacher to answer: its beginning with the end of another. Epochs go over "
    "these, too; 100,000 at most.  "
    "[default: 3 for single texts, 0 where labels count]",
)
@click.option("--relation-weight", type=float, help="Weight of the last layer's relations.  [default: 0]")
@training_options
@options.column_options
@options.artifacts_option
@options.output_option
@options.force_option
@options.json_option
def distill(
    source: Path,
    data: str,
    teacher: Path | None,
    layers: int | None,
    student: Path | None,
    artifacts: Path,
    output: Path | None,
    force: bool,
    as_json: bool,
    **others: Any,
) -> None:
    """Train a small network to answer as a large one does.

    CHECKPOINT is the teacher, if --layers or --student says what learns from it. Otherwise it is the student: a pruned
    one learns from the checkpoint it was made of, or from --teacher. Labels are not needed.

    A part of the rows is held out; the weights that do best on it are kept. A run that was killed goes on where it was,
    with the same command.

    \b
    ftc distill ckpt/ --data train.csv --layers 3 --time-budget 15m
    ftc distill artifacts/ckpt-keep-0.33 --data train.csv --time-budget 15m
    ftc distill small/ --teacher large/ --data unlabeled.csv
    torchrun --nproc-per-node 2 -m ftc distill artifacts/ckpt-keep-0.33 --data train.csv
    """
    from compress.verbs import distill as run
    from ftc.checkpoint import open_any
    from ftc.cli.show import made
    from ftc.foreign.files import refuse

    refuse(source, "distilled")
    artifact = open_any(source)
    training = {name: others.pop(name) for name in NAMES}
    own = ("temperature", "alpha", "hidden_weight", "relation_weight", "dropout", "fragments", "augment")
    distance = {name: others.pop(name) for name in own}
    dataset = options.load_data(data, artifact, need_labels=False, **others)
    result = run(
        artifact,
        artifacts,
        data=dataset,
        teacher=open_any(teacher) if teacher is not None else None,
        student=open_any(student) if student is not None else None,
        layers=layers,
        given=options.given(**training, **distance),
        output=output,
        force=force,
    )
    made(result, as_json)
