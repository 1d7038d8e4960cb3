"""`ftc export`"""

from __future__ import annotations

from pathlib import Path

import click

from compress.choices import Graph, Hint, Precision
from compress.steps import FORMATS
from ftc.cli import options
from ftc.errors import InputError

ALL = "all"


@click.command()
@options.source_argument
@click.option(
    "--to", type=click.Choice([*FORMATS, ALL]), default="onnx", show_default=True, help="The format, or all there are."
)
@options.form_options
@click.option("--data", metavar="DATA", help="Texts whose lengths the length buckets are fitted to.")
@options.column_options
@options.declared_options
@options.artifacts_option
@options.output_option
@options.force_option
@options.json_option
def export(
    source: Path,
    to: str,
    graph: Graph | None,
    precision: Precision | None,
    hint: Hint | None,
    lengths: tuple[int, ...] | None,
    data: str | None,
    task: str | None,
    labels: Path | None,
    processor: str | None,
    tokenizer: Path | None,
    artifacts: Path,
    output: Path | None,
    force: bool,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Export a checkpoint, in float.

    ONNX and OpenVINO files take any batch and length. A TFLite file takes one row, and a text is padded to the
    smallest of its lengths that holds it. The result is compared with the checkpoint on golden examples: several
    batch sizes and lengths, padded rows. If a logit differs by more than 1e-4 + 1e-3 x |logit|, nothing is written;
    with --precision bf16, which rounds more, the difference is told instead.

    \b
    ftc export ckpt/
    ftc export ckpt/ --graph plain -o exported/
    ftc export ckpt/ --to tflite --data train.csv    lengths fitted to the texts
    ftc export ckpt/ --to all                        every format whose extra is installed
    """
    from compress.verbs import export as run
    from compress.verbs import export_all
    from ftc.checkpoint import open_any
    from ftc.cli.show import made
    from ftc.foreign.files import refuse

    given = options.given(graph=graph, precision=precision, hint=hint, lengths=lengths)
    refuse(source, "exported")
    checkpoint = open_any(source, options.declared(task, labels, processor, tokenizer))
    dataset = options.load_data(data, checkpoint, need_labels=False, **columns) if data is not None else None
    if to == ALL:
        if output is not None:
            raise InputError("--to all makes several artifacts; say where with --artifacts DIRECTORY, not with -o.")
        for result in export_all(checkpoint, artifacts, given=given, data=dataset, force=force):
            made(result, as_json)
    else:
        result = run(checkpoint, artifacts, to=to, given=given, data=dataset, output=output, force=force)
        made(result, as_json)
