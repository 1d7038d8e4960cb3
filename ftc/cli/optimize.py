"""`ftc optimize`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftc.cli import options
from ftc.search.request import Effort, Objective, Request, Target

if TYPE_CHECKING:
    from ftc.search.bounds import Bounds
    from ftc.search.prepare import Planned
    from ftc.search.result import Result


@click.command()
@options.source_argument
@click.option("--data", metavar="DATA", required=True, help="Labelled rows to tune on; a part of them judges.")
@click.option(
    "--eval", "final", metavar="DATA", help="Labelled rows for the final score; no candidate is tuned on them."
)
@click.option("--eval-split", "final_split", metavar="NAME", help="Which split of --eval, where it has several.")
@options.max_drop_option
@click.option(
    "--min-score",
    type=float,
    metavar="PART",
    help="What the metric must reach, instead of --max-drop; what the checkpoint has above it on the rows of the final "
    "score is what any candidate may lose.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="The drop's whole 95 % interval must lie inside the budget, or that of the score above --min-score.",
)
@click.option(
    "--objective",
    type=click.Choice(Objective, case_sensitive=False),
    default=Objective.LATENCY.value,
    show_default=True,
    help="What is made as good as it can be.",
)
@click.option("--max-size", type=float, metavar="MB", help="Largest model file.")
@click.option("--max-memory", type=float, metavar="MB", help="Largest memory of a process that runs it, or of the GPU.")
@click.option("--max-latency", type=float, metavar="MS", help="Longest median call, one row.")
@click.option(
    "--target",
    type=click.Choice(Target, case_sensitive=False),
    default=Target.CPU.value,
    show_default=True,
    help="Where it will run; cuda: an NVIDIA GPU here; edge: TFLite only.",
)
@click.option(
    "--preset",
    "effort",
    type=click.Choice(Effort, case_sensitive=False),
    default=Effort.BALANCED.value,
    show_default=True,
    help="quick: no training (4m); balanced: prunes and trains one (20m); thorough: more shapes (2h).",
)
@click.option(
    "--time-budget", type=options.Duration(), metavar="TIME", help="All of it: 4m, 20m.  [default: by preset]"
)
@click.option(
    "--recipe", type=options.DIRECTORY, metavar="FILE", help="Just these candidates, or a search held to these."
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--threads", type=click.IntRange(1), help="Threads of one model call.  [default: all cores]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of every sample.")
@options.column_options
@options.declared_options
@options.artifacts_option
@click.option("--force", is_flag=True, help="Search anew; what the same libraries built is taken again.")
@options.json_option
def optimize(
    source: Path,
    data: str,
    final: str | None,
    final_split: str | None,
    max_size: float | None,
    max_memory: float | None,
    max_latency: float | None,
    time_budget: float | None,
    recipe: Path | None,
    dry_run: bool,
    task: str | None,
    labels: Path | None,
    processor: str | None,
    tokenizer: Path | None,
    text_column: str | None,
    text_pair_column: str | None,
    label_column: str | None,
    image_column: str | None,
    split: str | None,
    artifacts: Path,
    force: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Find the fastest form of a checkpoint inside an accuracy budget.

    Quantizes it for the runtimes that are installed, and measures (for a GPU: its float forms, in every way that is
    there); then prunes it, so far as the fastest form's latency table promises a gain, lets the checkpoint teach what
    was pruned, and measures again. Rows of --data tune and judge; those of --eval give the final score. If nothing
    qualifies, the baseline, its float export, stays.

    The same command goes on after a crash. Ctrl-C ends the search with the best so far; a second Ctrl-C, or one while
    there is none, stops it, for the same command to go on.

    \b
    ftc optimize ckpt/ --data train.csv --eval test.csv                      20 minutes, one point
    ftc optimize ckpt/ --data train.csv --preset quick                       4 minutes, no training
    ftc optimize ckpt/ --data train.csv --max-drop 0.005 --time-budget 1h    half a point, an hour
    ftc optimize ckpt/ --data train.csv --objective size --max-latency 5     the smallest under 5 ms
    ftc optimize ckpt/ --data train.csv --target cuda                        for the GPU of this machine
    ftc optimize ckpt/ --data train.csv --dry-run                            what would be tried
    ftc optimize ckpt/ --data train.csv --recipe plan.toml                   these candidates and no others

    \b
    A recipe is a list of candidates, each a list of commands with their options:
    [[candidate]]
    prune = {keep = 0.5}
    distill = {time_budget = 300}
    quantize = {to = "tflite", mode = "dynamic"}

    \b
    Or it holds the search to some forms, and to no pruning or no training:
    [search]
    forms = [{to = "onnx", mode = "dynamic"}, {to = "onnx", mode = "static"}]
    distill = false
    """
    from bench.page.write import check
    from ftc.console import say
    from ftc.data import Columns
    from ftc.search import recipe as recipes
    from ftc.search.optimize import carry_out
    from ftc.search.prepare import page, prepare
    from ftc.search.report import write_report

    if dry_run and as_json:
        raise click.UsageError("--json tells the result, and --dry-run has none: leave one of them out.")
    if asked["min_score"] is not None:
        options.refuse(frozenset({"max_drop"}), "--min-score, which says what may be lost: leave one of them out.")
    request = Request(
        max_size_bytes=1e6 * max_size if max_size is not None else None,
        max_memory_bytes=1e6 * max_memory if max_memory is not None else None,
        max_latency_ns=1e6 * max_latency if max_latency is not None else None,
        time_budget_s=time_budget,
        **asked,
    )
    if not dry_run:
        check(page(artifacts, request))
    planned = prepare(
        source,
        data,
        final=final,
        request=request,
        artifacts=artifacts,
        recipe=recipes.read(recipe) if recipe is not None else (),
        columns=Columns(text_column, text_pair_column, label_column, image_column),
        split=split,
        final_split=final_split,
        declared=options.declared(task, labels, processor, tokenizer),
    )
    for line in _plan(planned):
        if dry_run:
            click.echo(line)
        else:
            say(line)
    if dry_run:
        return
    result = carry_out(planned, force=force)
    write_report(result, planned.results, planned.page)
    if as_json:
        _print_json(result)
    else:
        _show(result, planned.page)


def _plan(planned: Planned) -> list[str]:
    """What would be tried, in words."""
    from ftc.search import plan
    from ftc.search.links import key

    request = planned.request
    limits = [f"--max-drop {request.max_drop:g}" if request.min_score is None else f"--min-score {request.min_score:g}"]
    given = (
        ("--max-size", request.max_size_bytes),
        ("--max-memory", request.max_memory_bytes),
        ("--max-latency", request.max_latency_ns),
    )
    limits += [f"{name} {most / 1e6:g}" for name, most in given if most is not None]
    limits += ["--strict"] if request.strict else []
    but = " but torch.compile" if request.effort is Effort.QUICK else ""
    on_gpu = f", in every way that the GPU has for it{but}" if request.target is Target.CUDA else ""
    lines = [
        f"plan for {planned.root.path}: {request.objective}, {', '.join(limits)}, {request.budget_s / 60:g} minutes",
        f"rows: {len(planned.parts.tuning)} tune, {len(planned.parts.judging)} judge, {len(planned.final)} give the "
        "final score",
        f"1. {'as the recipe says' if planned.is_fixed else 'without training'}, each judged and timed{on_gpu}:",
        *(f"     {key(chain)}" for chain in planned.chains),
        *(f"     not {one.what}: {one.why}" for one in planned.skipped),
    ]
    if not planned.is_fixed and plan.can_prune(planned.root):
        lines += _smaller(request, planned.bounds)
    return [*lines, "last: the best few on the rows of the final score"]


def _smaller(request: Request, bounds: Bounds) -> list[str]:
    """What would be tried of smaller networks, in words."""
    from ftc.search import plan

    if not bounds.prune:
        return ["   no smaller networks, as the recipe says"]
    if request.objective is Objective.SIZE:
        return ["   no smaller networks, which are looked for by their speed: --recipe takes prune = {keep = 0.5}"]
    tiers = " and ".join(f"{tier:g}x" for tier in plan.TIERS[request.effort])
    lines = [f"2. networks pruned to be {tiers} as fast as the whole one, in one of the fastest forms"]
    if request.effort is not Effort.QUICK and bounds.distill:
        lines.append(
            "3. the fastest that training may bring into the budget is taught by the checkpoint for the time left"
        )
    return lines


def _show(result: Result, page: Path) -> None:
    from bench.report import show
    from ftc.runtimes.variant import Variant

    show(result.board, None)
    click.echo("\nall that was tried (speeds are ratios to the float ONNX export, or without one to the checkpoint):")
    for row in result.rows:
        predicted = f"{row.predicted:.1f}x predicted, " if row.predicted is not None else ""
        measured = f"{row.measured:.2f}x" if row.measured is not None else "not timed"
        drop = f", {row.drop_points:+.2f} points lost" if row.drop_points is not None else ""
        way = f", {row.way}" if row.way is not None else ""
        click.echo(f"  {row.key}{way}\n      {predicted}{measured}{drop}: {row.fate}")
    verdict = "winner" if result.is_better else "the baseline stays"
    way = f", executed as {result.way}" if result.way is not None else ""
    click.echo(f"\n{verdict}: {result.winner}{way}\n  {result.reason}")
    other_s = max(0.0, result.seconds - result.building_s - result.measuring_s)
    click.echo(
        f"  {result.seconds / 60:.1f} minutes: {result.building_s:.0f} s building, {result.measuring_s:.0f} s "
        f"measuring, {other_s:.0f} s between"
    )
    click.echo(f"  report: {page}; decisions: {result.journal}")
    if result.is_better and result.way is not None:
        words = Variant.named(result.way).words
        click.echo(f"next: run it with {words}; services that ftc package makes are for CPUs")
    elif result.is_better:
        click.echo(f"next: ftc package {result.winner} --artifacts {page.parent}")
    else:
        click.echo("next: more time or wider limits; or, if the machine was busy, the same command again with --force")


def _print_json(result: Result) -> None:
    import json

    from bench.report import to_json

    told = {
        "winner": str(result.winner),
        "is_better": result.is_better,
        "way": result.way,
        "reason": result.reason,
        "seconds": result.seconds,
        "building_s": result.building_s,
        "measuring_s": result.measuring_s,
        "journal": str(result.journal),
        "rows": [{**asdict(row), "path": str(row.path) if row.path is not None else None} for row in result.rows],
        "board": json.loads(to_json(result.board)),
    }
    click.echo(json.dumps(told, indent=2))
