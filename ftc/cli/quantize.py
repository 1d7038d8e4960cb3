"""`ftc quantize`"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from compress.choices import Graph, Hint, Method, Precision
from compress.steps import FORMATS, Mode
from ftc.cli import options


@click.command()
@options.source_argument
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    help="dynamic needs no data, static measures ranges on it.  [default: static for CNNs and OpenVINO, else dynamic]",
)
@click.option("--to", type=click.Choice(FORMATS), help="The format.  [default: onnx, or the artifact's own]")
@click.option("--data", metavar="DATA", help="Rows to calibrate on: csv, tsv, jsonl, parquet, npz, a folder, hub:NAME.")
@click.option("--rows", type=click.IntRange(1), default=256, show_default=True, help="Calibration rows taken.")
@click.option(
    "--method",
    type=click.Choice(Method, case_sensitive=False),
    help="How static ranges are chosen.  [default: minmax]",
)
@click.option("--per-channel/--per-tensor", default=None, help="Scales of the weights.  [default: per-channel]")
@click.option("--exclude", multiple=True, metavar="NODE", help="A graph node to leave in float; may be repeated.")
@click.option(
    "--max-drop-points",
    type=click.FloatRange(0),
    metavar="POINTS",
    help="OpenVINO, static: put layers back to float until no more accuracy than this is lost; needs labels.",
)
@click.option("--integer-io", is_flag=True, default=None, help="TFLite: INT8 inputs and outputs, for accelerators.")
@options.form_options
@options.column_options
@options.declared_options
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
    max_drop_points: float | None,
    integer_io: bool | None,
    lengths: tuple[int, ...] | None,
    graph: Graph | None,
    precision: Precision | None,
    hint: Hint | None,
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
    """Quantize a checkpoint or a float artifact: INT8, or smaller weights alone.

    The float export it is made from is kept beside it, as what to compare with; of a Keras model TFLite is made
    directly. A mode that a format does not have is refused with a list of those there are. INT8 files give the same
    answers on processors with and without VNNI, or say what they need.

    \b
    ftc quantize ckpt/                                   dynamic, no data needed
    ftc quantize ckpt/ --mode static --data train.csv    static, ranges from 256 rows
    ftc quantize cnn/ --data images/                     CNNs are quantized statically
    ftc quantize ckpt/ --to tflite                       for LiteRT, on phones and here
    ftc quantize ckpt/ --to openvino --mode static --data train.csv
    """
    from compress.verbs import quantize as run
    from ftc.checkpoint import open_any
    from ftc.cli.show import made
    from ftc.foreign.files import refuse

    refuse(source, "quantized")
    artifact = open_any(source, options.declared(task, labels, processor, tokenizer))
    dataset = options.load_data(data, artifact, need_labels=False, **columns) if data is not None else None
    given = options.given(
        method=method,
        per_channel=per_channel,
        exclude=exclude or None,
        graph=graph,
        max_drop_points=max_drop_points,
        integer_io=integer_io,
        lengths=lengths,
        precision=precision,
        hint=hint,
    )
    result = run(
        artifact, artifacts, to=to, mode=mode, given=given, data=dataset, rows=rows, output=output, force=force
    )
    made(result, as_json)
