"""`ftc prune`"""

from __future__ import annotations

from pathlib import Path

import click

from compress.choices import Importance, Runtime
from ftc.cli import options


@click.command()
@options.source_argument
@click.option("--data", metavar="DATA", required=True, help="Rows that decide what goes, labelled or not.")
@click.option(
    "--keep",
    type=click.FloatRange(0, 1, min_open=True),
    help="Part that stays: of an encoder's parameters, of a convolutional network's multiply-accumulates.  "
    "[default: 0.5]",
)
@click.option(
    "--importance",
    type=click.Choice([choice.value for choice in Importance]),
    help="What tells a channel that matters, of convolutional networks.  [default: hessian]",
)
@click.option("--layers", type=click.IntRange(1), help="Drop whole encoder layers instead, until so many are left.")
@click.option(
    "--target-speedup",
    type=click.FloatRange(1, min_open=True),
    metavar="TIMES",
    help="Instead of --keep: how many times as fast it is to be here, in float, on one row.",
)
@click.option(
    "--runtime",
    type=click.Choice(Runtime, case_sensitive=False),
    help="With --target-speedup: what runs it.  [default: onnxruntime]",
)
@click.option("--vocabulary", is_flag=True, help="Trim the vocabulary instead, to the tokens that DATA needs.")
@click.option(
    "--rows",
    type=click.IntRange(1),
    help="Rows taken.  [default: 2048 texts or small images, 256 images of 224 pixels, all for --vocabulary]",
)
@options.column_options
@options.artifacts_option
@options.output_option
@options.force_option
@options.json_option
def prune(
    source: Path,
    data: str,
    keep: float | None,
    importance: str | None,
    target_speedup: float | None,
    runtime: Runtime | None,
    layers: int | None,
    vocabulary: bool,
    rows: int | None,
    artifacts: Path,
    output: Path | None,
    force: bool,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Make a network smaller without training: narrower, with fewer layers, or with a smaller vocabulary.

    Heads and neurons of a transformer, or channels of a convolutional network, compete for what stays, all layers
    together, by how much the answers on DATA depend on them. What is left is solved for by least squares, so that it
    answers as the whole network did. Labels are not needed; with them the accuracy before and after is told, on rows
    that decided nothing (not with --vocabulary, which takes all). The result is a checkpoint: export it, quantize it,
    prune it on, or load it with ftc.checkpoint.load.

    With --layers, whole encoder layers go, those first that answers depend on least.

    With --target-speedup, heads and neurons compete for the time that they take with --runtime on this machine:
    networks of several shapes are exported and timed beside the whole one, until one is as fast as asked.

    With --vocabulary, the embedding table keeps the tokens of DATA (give all the rows you have), special ones, and
    single characters, so that other words fall into pieces. Texts whose tokens all stay are answered as before;
    multilingual models shrink most.

    \b
    ftc prune ckpt/ --data train.csv
    ftc prune ckpt/ --data train.csv --keep 0.33
    ftc prune resnet/ --data images/ --keep 0.5
    ftc prune ckpt/ --data train.csv --target-speedup 2 --runtime onnxruntime
    ftc prune ckpt/ --data train.csv --layers 4
    ftc prune ckpt/ --data train.csv --vocabulary
    ftc quantize artifacts/ckpt-keep-0.33
    """
    from compress.verbs import prune as run
    from ftc.checkpoint import open_any
    from ftc.cli.show import made
    from ftc.foreign.files import refuse

    refuse(source, "pruned")
    artifact = open_any(source)
    dataset = options.load_data(data, artifact, need_labels=False, **columns)
    result = run(
        artifact,
        artifacts,
        data=dataset,
        vocabulary=vocabulary,
        given=options.given(
            keep=keep,
            importance=None if importance is None else Importance(importance),
            layers=layers,
            target_speedup=target_speedup,
            runtime=runtime,
        ),
        rows=rows,
        output=output,
        force=force,
    )
    made(result, as_json)
