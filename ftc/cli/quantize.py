"""`ftc quantize`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from compress.choices import Graph, Method
from ftc.cli import options

if TYPE_CHECKING:
    from compress.steps import Mode


@click.command()
@options.source_argument
@click.option(
    "--mode",
    type=click.Choice(["dynamic", "static"]),
    help="dynamic needs no data; static measures ranges on --data.  [default: static for CNNs, else dynamic]",
)
@click.option("--to", type=click.Choice(["onnx"]), help="The format.  [default: onnx, or the artifact's own]")
@click.option("--data", metavar="DATA", help="Rows to calibrate on: csv, tsv, jsonl, parquet, npz, a folder, hub:NAME.")
@click.option("--rows", type=click.IntRange(1), default=256, show_default=True, help="Calibration rows taken.")
@click.option(
    "--method",
    type=click.Choice(Method),
    help="How static ranges are chosen.  [default: minmax]",
)
@click.option("--per-channel/--per-tensor", default=None, help="Scales of the weights.  [default: per-channel]")
@click.option("--exclude", multiple=True, metavar="NODE", help="A graph node to leave in float; may be repeated.")
@click.option(
    "--graph",
    type=click.Choice(Graph),
    help="See ftc export.",
)
@options.column_options
@options.task_option
@options.artifacts_option
@options.output_option
@options.force_option
@options.json_option
def quantize(
    source: Path,
    mode: Mode | None,
    to: str | None,
    data: str | None,
    rows: int,
    method: Method | None,
    per_channel: bool | None,
    exclude: tuple[str, ...],
    graph: Graph | None,
    task: str | None,
    artifacts: Path,
    output: Path | None,
    force: bool,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Quantize a checkpoint or a float ONNX artifact to INT8.

    The float export it is made from is kept beside it, as what to compare with. The files give the same answers
    on processors with and without VNNI.

    \b
    ftc quantize ckpt/                                   dynamic, no data needed
    ftc quantize ckpt/ --mode static --data train.csv    static, ranges from 256 rows
    ftc quantize cnn/ --data images/                     CNNs are quantized statically
    """
    from compress.verbs import quantize as run
    from ftc.checkpoint import open_any
    from ftc.cli.show import made

    artifact = open_any(source, task)
    dataset = options.load_data(data, artifact, need_labels=False, **columns) if data is not None else None
    given = options.given(method=method, per_channel=per_channel, exclude=exclude or None, graph=graph)
    result = run(
        artifact, artifacts, to=to, mode=mode, given=given, data=dataset, rows=rows, output=output, force=force
    )
    made(result, as_json)
