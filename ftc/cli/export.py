"""`ftc export`"""

from __future__ import annotations

from pathlib import Path

import click

from compress.choices import Graph
from ftc.cli import options


@click.command()
@options.source_argument
@click.option("--to", type=click.Choice(["onnx"]), default="onnx", show_default=True, help="The format.")
@click.option(
    "--graph",
    type=click.Choice(Graph),
    help="fused: operators of ONNX Runtime, faster there; plain: standard operators only.  [default: fused]",
)
@options.task_option
@options.artifacts_option
@options.output_option
@options.force_option
@options.json_option
def export(
    source: Path,
    to: str,
    graph: Graph | None,
    task: str | None,
    artifacts: Path,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Export a checkpoint, in float32, with dynamic batch and length.

    The result is compared with the checkpoint on golden examples: several batch sizes and lengths, padded
    rows. If a logit differs by more than 1e-4 + 1e-3 x |logit|, nothing is written.

    \b
    ftc export ckpt/
    ftc export ckpt/ --graph plain -o exported/
    """
    from compress.verbs import export as run
    from ftc.checkpoint import open_any
    from ftc.cli.show import made

    given = options.given(graph=graph)
    made(run(open_any(source, task), artifacts, to=to, given=given, output=output, force=force), as_json)
