"""`ftc bench`"""

from __future__ import annotations

from pathlib import Path

import click

from ftc.cli import options
from ftc.console import caution, say


@click.command()
@click.argument("paths", nargs=-1, type=options.DIRECTORY)
@click.option("--data", metavar="DATA", help="Labelled test rows: csv, tsv, jsonl, parquet, npz, a folder, hub:NAME.")
@click.option("--limit", type=click.IntRange(1), metavar="ROWS", help="Rows answered for accuracy.  [default: all]")
@click.option(
    "--max-drop",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="Accuracy budget: points (hundredths) that may be lost against the checkpoint.",
)
@click.option("--root", type=options.DIRECTORY, help="Where the checkpoint is now, if it has moved.")
@click.option("--threads", type=click.IntRange(1), help="Threads of one model call.  [default: all cores]")
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Rows, for throughput.")
@click.option(
    "--time-budget",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="What timing may take, all candidates together.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of every sample and shuffle.")
@options.column_options
@options.declared_options
@options.artifacts_option
@click.option("-o", "--output", type=options.DIRECTORY, help="Results file.  [default: ARTIFACTS/bench.jsonl]")
@options.json_option
def bench(
    paths: tuple[Path, ...],
    data: str | None,
    limit: int | None,
    max_drop: float,
    root: Path | None,
    threads: int | None,
    batch_size: int,
    time_budget: float,
    device: str,
    seed: int,
    task: str | None,
    labels: Path | None,
    processor: str | None,
    tokenizer: Path | None,
    artifacts: Path,
    output: Path | None,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Measure candidates side by side, speed and accuracy, and name the winner inside the accuracy budget.

    Without PATHS: every artifact in ./artifacts, against the checkpoint it came from. Each candidate runs in
    a process of its own; they take turns in shuffled rounds on your data's own lengths. Raw samples are kept.

    \b
    ftc bench --data test.tsv                               everything in ./artifacts
    ftc bench --data test.tsv --max-drop 0.5 --threads 1    a tighter budget, one thread
    ftc bench artifacts/ckpt-onnx ckpt/ --data test.tsv     only these
    ftc bench other.tflite ckpt/ --data test.tsv            a model file made elsewhere as well
    """
    from bench.candidates import select
    from bench.report import show, to_json
    from bench.results import FILE_NAME
    from bench.run import Options
    from bench.run import bench as run

    wanted = Options(threads, batch_size, time_budget, limit, max_drop, device, seed)
    declared = options.declared(task, labels, processor, tokenizer)
    candidates = select(paths, artifacts, root, declared)
    dataset = options.load_data(data, candidates[0], need_labels=False, **columns) if data is not None else None
    if dataset is not None and dataset.labels is None:
        caution(f"{data} shows no labels, so accuracy is not measured. Name their column with --label-column.")
    # a ranking of models that lie elsewhere is not that of the artifacts, whose winner `ftc package` takes
    made = [candidate for candidate in candidates if not candidate.manifest.is_root]
    of_these = made and all(candidate.path.resolve().parent == artifacts.resolve() for candidate in made)
    if not (of_these or output):
        say(f"the results are not kept, since not all of this lies in {artifacts}: -o FILE keeps them.")
    board = run(
        candidates, data=dataset, options=wanted, results_path=output or (artifacts / FILE_NAME if of_these else None)
    )
    if as_json:
        click.echo(to_json(board))
    else:
        show(board, artifacts)
