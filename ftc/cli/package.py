"""`ftc package`"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftc.cli import options

if TYPE_CHECKING:
    from serve.package import Packaged


@click.command()
@click.argument("artifact", required=False, type=options.DIRECTORY)
@click.option("--name", help="The Bento's name.  [default: the artifact's]")
@options.artifacts_option
@click.option("--threads", type=click.IntRange(1), help="Threads of one run of the model.  [default: by runtime]")
@click.option(
    "--max-batch-size",
    type=click.IntRange(1),
    help="Rows of concurrent requests that go through the model together.  [default: 8, or 1 where they change each "
    "other's answers]",
)
@click.option(
    "--max-latency-ms",
    type=click.IntRange(1),
    default=60_000,
    show_default=True,
    help="Refuse with 503 what has waited longer.",
)
@click.option(
    "--max-items", type=click.IntRange(1), default=256, show_default=True, help="Texts or images of one request."
)
@click.option(
    "--max-queue",
    type=click.IntRange(1),
    default=1024,
    show_default=True,
    help="Texts or images of all requests that are inside; refuse more with 503.",
)
@click.option(
    "--max-body-bytes",
    type=click.IntRange(1),
    help="The largest body of a request.  [default: 1 MiB of texts, 16 MiB of images]",
)
@options.json_option
def package(
    artifact: Path | None,
    name: str | None,
    artifacts: Path,
    threads: int | None,
    max_batch_size: int | None,
    max_latency_ms: int,
    max_items: int,
    max_queue: int,
    max_body_bytes: int | None,
    as_json: bool,
) -> None:
    """Build a Bento, start it, and keep it if it answers every golden example as the artifact does.

    Without ARTIFACT, the winner of the latest ftc bench. Bentos go to BentoML's store (BENTOML_HOME).

    \b
    ftc package                                       the winner
    ftc package artifacts/ckpt-onnx-dynamic-int8    this one
    ftc package --threads 2 --name sentiment          as it will be deployed
    """
    from bench.winner import latest_winner, measured
    from ftc.checkpoint import open_any
    from ftc.foreign.files import refuse
    from serve.bundle import Settings
    from serve.package import package as run

    if artifact is not None:
        refuse(artifact, "packaged")
    chosen = open_any(artifact) if artifact is not None else latest_winner(artifacts)
    settings = Settings(
        threads=threads,
        max_batch_size=max_batch_size,
        max_latency_ms=max_latency_ms,
        max_items=max_items,
        max_queue=max_queue,
        max_body_bytes=max_body_bytes,
        measured=measured(chosen, artifacts),
    )
    packaged = run(chosen, settings, name)
    click.echo(json.dumps(asdict(packaged)) if as_json else _report(packaged))


def _report(packaged: Packaged) -> str:
    from ftc.cli.show import size

    needs = ", ".join(packaged.requirements)
    return (
        f"{packaged.tag}  {size(packaged.size_bytes)}  {packaged.runtime}\n"
        f"  checked: started, and all {packaged.replayed} golden examples answered as by the artifact\n"
        f"  needs: {needs} and what they need, {packaged.packages} pinned packages\n"
        f"  next: ftc serve, or bentoml containerize {packaged.tag}"
    )
