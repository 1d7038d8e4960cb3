"""`ftc bench`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftc.cli import options
from ftc.cli.bench_service import USED, bench_service
from ftc.console import caution, progress, say
from ftc.errors import InputError

if TYPE_CHECKING:
    from bench.leaderboard import Leaderboard
    from bench.tracking import Store
    from ftc.measurement import Scenario

BAD_NEWS = 3
"""Exit code where the work went well and its answer is bad news: slower than before, or no self-check that passed."""

_SCENARIOS: dict[str, Scenario] = {"single-stream": "SingleStream", "offline": "Offline", "server": "Server"}


def _fraction(context: click.Context, parameter: click.Parameter, value: str) -> float | None:
    if value == "none":
        return None
    try:
        return float(value.removesuffix("%")) / 100
    except ValueError:
        raise click.BadParameter(f"{value!r}: give a percentage, such as 2%, or none") from None


def _numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(",")) if value is not None else ()
    except ValueError:
        raise click.BadParameter(f"{value!r}: give numbers with commas between them: 1,8") from None


@click.command()
@click.argument("paths", nargs=-1, type=options.DIRECTORY)
@click.option("--data", metavar="DATA", help="Labelled test rows: csv, tsv, jsonl, parquet, npz, a folder, hub:NAME.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="ROWS",
    help="Rows answered for accuracy; of --service, rows asked for.  [default: all; 64]",
)
@options.max_drop_option
@click.option("--root", type=options.DIRECTORY, help="Where the checkpoint is now, if it has moved.")
@click.option("--threads", type=click.IntRange(1), help="Threads of one model call.  [default: all cores]")
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Rows, for throughput.")
@click.option(
    "--time-budget",
    type=options.Duration(),
    default="30s",
    show_default=True,
    metavar="TIME",
    help="What timing may take, all candidates together.",
)
@click.option(
    "--precision",
    callback=_fraction,
    default="2%",
    show_default=True,
    metavar="PERCENT",
    help="End sooner, once every ratio is known to this, of a grid in each cell; `none` takes the whole time. Ratios "
    "of candidates that open too slowly to be started anew are not waited for.",
)
@click.option(
    "--scenario",
    type=click.Choice(list(_SCENARIOS)),
    default="single-stream",
    show_default=True,
    help="Rank by latency one by one, by throughput, or by latency of queries that arrive by chance.",
)
@click.option(
    "--rate",
    type=float,
    metavar="QPS",
    help="Server, --service: queries in a second.  [of a service: 70% of what clients reach]",
)
@click.option("--latency-bound", type=float, metavar="MS", help="Server: what an answer may take.")
@click.option("--batch-sizes", callback=_numbers, metavar="N,N,...", help="Time these as well.")
@click.option("--lengths", callback=_numbers, metavar="N,N,...", help="Time texts of so many tokens as well.")
@click.option(
    "--time-limit",
    type=options.Duration(),
    default="5m",
    show_default=True,
    metavar="TIME",
    help="What a candidate may take for one answer; after it, it counts as hung.",
)
@click.option(
    "--self-check", is_flag=True, help="Measure the float baseline twice; ends with 3 unless no difference is shown."
)
@click.option("--resume", is_flag=True, help="Go on with the last run, which was interrupted.")
@click.option(
    "--compare",
    type=options.DIRECTORY,
    metavar="FILE",
    help="Measure nothing: compare the last run with that of an older file; slower, failing or gone now ends with 3.",
)
@click.option(
    "--mlflow",
    "tracking_uri",
    is_flag=False,
    flag_value="",
    metavar="[URI]",
    help="Log to MLflow as well, one run for each candidate.  [default URI: MLflow's own, sqlite:///mlflow.db]",
)
@click.option(
    "--service",
    metavar="URL|BENTO",
    help="Measure a running service, or that of a Bento (tag or directory), beside the bare session of its artifact.",
)
# select, which the clients wait with, knows descriptors below 1,024
@click.option("--clients", type=click.IntRange(1, 900), default=32, show_default=True, help="Of --service.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of every sample and shuffle.")
@options.column_options
@options.declared_options
@options.artifacts_option
@click.option(
    "-o",
    "--output",
    type=options.DIRECTORY,
    help="Results file.  [default: ARTIFACTS/bench.jsonl, on a GPU bench-cuda.jsonl; none for paths elsewhere]",
)
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
    precision: float | None,
    scenario: str,
    rate: float | None,
    latency_bound: float | None,
    batch_sizes: tuple[int, ...],
    lengths: tuple[int, ...],
    time_limit: float,
    self_check: bool,
    resume: bool,
    compare: Path | None,
    tracking_uri: str | None,
    service: str | None,
    clients: int,
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
    ftc bench --data test.tsv --max-drop 0.005 --threads 1  half a point, one thread
    ftc bench artifacts/ckpt-onnx ckpt/ --data test.tsv     only these
    ftc bench other.tflite ckpt/ --data test.tsv            a model file made elsewhere as well
    ftc bench --data test.tsv --batch-sizes 1,8 --lengths 32,128
    ftc bench --data test.tsv --scenario server --rate 50 --latency-bound 20
    ftc bench --data test.tsv --self-check                  can this machine be trusted now?
    ftc bench --data test.tsv --resume                      go on after a crash
    ftc bench --data test.tsv --mlflow                      logged to mlflow.db here
    ftc bench --data test.tsv --device cuda                 on the GPU: precisions, compiled, CUDA graphs
    ftc bench --compare old.jsonl                           did this release get slower? 3 if so
    ftc bench --service http://127.0.0.1:3000 --data test.tsv   a service: one client, 32, and requests by chance
    ftc bench --service NAME:latest --data test.tsv --rate 50   a Bento, started here, and its overhead

    A service is asked by one client, by --clients that wait for their answers, and by a Poisson process whose latency
    counts from the intended arrival; --batch-size is then the rows of a request, 1 unless it is given.
    """
    from bench.candidates import select
    from bench.report import show, to_json
    from bench.results import FILE_NAME, GPU_FILE_NAME
    from bench.run import Options
    from bench.run import bench as run
    from ftc.gpu import chosen

    kept = artifacts / (FILE_NAME if device == "cpu" else GPU_FILE_NAME)
    if compare is not None:
        options.refuse_others(
            frozenset({"compare", "artifacts", "output", "device", "as_json"}),
            "--compare, which measures nothing: measure first, with ftc bench --data FILE, then compare.",
        )
        _compare(compare, output or kept, as_json)
        return
    if service is not None:
        from click.core import ParameterSource

        context = click.get_current_context()
        options.refuse_others(USED, "--service, which measures a service as it is.")
        if len(paths) > 1:
            raise InputError("--service takes one artifact at most: the one that the service holds.")
        bench_service(
            service,
            paths[0] if paths else None,
            data,
            clients=clients,
            rows=batch_size if context.get_parameter_source("batch_size") is ParameterSource.COMMANDLINE else 1,
            wanted=Options(
                threads=threads,
                time_budget_s=time_budget,
                precision=precision,
                seed=seed,
                time_limit_s=time_limit,
            ),
            rate_per_s=rate,
            limit=limit,
            output=output,
            as_json=as_json,
            **columns,
        )
        return
    options.refuse(
        frozenset({"clients"}), "a run without --service, which is what clients ask: name one, or leave it out."
    )
    if scenario != "single-stream":
        sizes = "each candidate has the size that suits it best" if scenario == "offline" else "every query is one row"
        options.refuse(frozenset({"batch_size"}), f"--scenario {scenario}, where {sizes}: leave it out.")
    if data is None:
        options.refuse(frozenset({"limit"}), "a run without --data, which measures no accuracy: give the rows as well.")
    wanted = Options(
        threads=threads,
        batch_size=batch_size,
        time_budget_s=time_budget,
        limit=limit,
        max_drop_points=100 * max_drop,
        device=device,
        seed=seed,
        precision=precision,
        scenario=_SCENARIOS[scenario],
        batch_sizes=batch_sizes,
        lengths=lengths,
        rate_per_s=rate,
        bound_ms=latency_bound,
        time_limit_s=time_limit,
        self_check=self_check,
    )
    if device == "cuda":
        chosen()  # before anything is opened: without a GPU there is nothing to wait for
    declared = options.declared(task, labels, processor, tokenizer)
    store = _tracking(tracking_uri)
    candidates = select(paths, artifacts, root, declared)
    dataset = options.load_data(data, candidates[0], need_labels=False, **columns) if data is not None else None
    if dataset is not None and dataset.labels is None:
        caution(f"{data} shows no labels, so accuracy is not measured. Name their column with --label-column.")
    # a ranking of models that lie elsewhere is not that of the artifacts, whose winner `ftc package` takes
    made = [candidate for candidate in candidates if not candidate.manifest.is_root]
    apart = [one.path for one in made if not one.path.resolve().is_relative_to(artifacts.resolve())]
    of_these = made and not apart
    if not (of_these or output):
        elsewhere = next(iter(apart), candidates[0].path)
        say(f"the results are not kept, since {elsewhere} does not lie in {artifacts}: -o FILE keeps them.")
    path = output or (kept if of_these else None)
    board = run(candidates, data=dataset, options=wanted, results_path=path, resumed=resume)
    if as_json:
        click.echo(to_json(board))
    else:
        show(board, artifacts, is_kept=path == kept, with_cells=bool(batch_sizes or lengths))
    if store is not None:
        _track(board, path, store)
    if board.self_check is not None and not board.self_check.passed:
        told = "the self-check failed" if board.self_check.passed is False else f"no self-check: {board.self_check}"
        caution(f"{told}: believe no ratio of this run. Measure again, longer or on a quieter machine.")
        sys.exit(BAD_NEWS)


def _tracking(uri: str | None) -> Store | None:
    if uri is None:
        return None
    from bench.tracking import open_store

    return open_store(uri or None)


def _track(board: Leaderboard, results_path: Path | None, store: Store) -> None:
    from bench.tracking import log

    with progress(f"logging to {store.uri}"):
        experiment = log(board, results_path, store)
    say(f"logged {len(board.standings)} candidates to {store.uri}, experiment {experiment}")


def _compare(old: Path, new: Path, as_json: bool) -> None:
    from bench.compare import compare, show, to_json

    comparison = compare(old, new)
    if as_json:
        click.echo(to_json(comparison))
    else:
        show(comparison)
    if comparison.is_worse:
        sys.exit(BAD_NEWS)
