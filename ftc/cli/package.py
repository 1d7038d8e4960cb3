"""`ftc package`"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftc.cli import options
from ftc.errors import InputError

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from serve.bundle import Second, Settings
    from serve.edge import EdgeBundle
    from serve.package import Packaged

EDGE = frozenset({"artifact", "purpose", "output", "artifacts", "ab", "split", "shadow", "as_json"})
"""What means something with --for edge, or is refused there with a reason of its own."""


@click.command()
@click.argument("artifact", required=False, type=options.DIRECTORY)
@click.option("--name", help="The Bento's name.  [default: the artifact's]")
@click.option("--for", "purpose", type=click.Choice(["service", "edge"]), default="service", show_default=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The edge bundle's file.  [default: ./NAME-ID.tar.gz]"
)
@options.artifacts_option
@click.option(
    "--ab", type=options.DIRECTORY, metavar="ARTIFACT", help="A second model that answers a share of the requests."
)
@click.option(
    "--split",
    metavar="N:N",
    help="Weights of the first model and of --ab, such as 90:10.  [default: 50:50]",
)
@click.option(
    "--shadow", type=options.DIRECTORY, metavar="ARTIFACT", help="A second model that answers copies of the requests."
)
@click.option("--threads", type=click.IntRange(1), help="Threads of one run of the model.  [default: by runtime]")
@click.option(
    "--max-batch-size",
    type=click.IntRange(1),
    help="Rows of concurrent requests that go through the model together.  [default: 8, or 1 where they change each "
    "other's answers]",
)
@click.option("--workers", type=click.IntRange(1), help="Processes, each with a model of its own.  [default: 1]")
@click.option(
    "--batch-wait-ms",
    type=click.FloatRange(0),
    help="How long a row waits for others to go with, if the model is idle.  [default: not at all]",
)
@click.option(
    "--tune/--no-tune",
    default=True,
    show_default=True,
    help="Measure the service with other threads, workers, batch sizes and waiting times, and take what is faster; "
    "what is given stays. It takes minutes.",
)
@click.option(
    "--time-budget",
    type=options.Duration(),
    default="20s",
    show_default=True,
    metavar="TIME",
    help="What these measurements may take, starting the services apart.",
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
    purpose: str,
    output: Path | None,
    artifacts: Path,
    ab: Path | None,
    split: str | None,
    shadow: Path | None,
    threads: int | None,
    max_batch_size: int | None,
    workers: int | None,
    batch_wait_ms: float | None,
    tune: bool,
    time_budget: float,
    max_latency_ms: int,
    max_items: int,
    max_queue: int,
    max_body_bytes: int | None,
    as_json: bool,
) -> None:
    """Build a Bento, start it, and keep it if it answers every golden example as the artifact does.

    Without ARTIFACT, the winner of the latest ftc bench. Bentos go to BentoML's store (BENTOML_HOME).

    Threads, workers, batch size and waiting time come from a short measurement of the service on this machine, unless
    given; the usual ones stay where no others are shown to be 5% faster. They hold where as many cores are available.

    With --ab, a second model for the same task and labels answers its share of the requests; those with the same
    header X-FTC-Session are answered by the same model, and X-FTC-Variant in the answer names it. With --shadow, a
    second model answers copies of the requests in a process of its own, at the lowest priority; disagreements are
    logged and counted, and nobody waits for them.

    With --for edge, write an archive for release pipelines instead: model, vocabulary, labels, golden examples, model
    card, checksums, SBOM, and a decoder in Python that has answered the golden examples. The same artifact gives the
    same bytes.

    \b
    ftc package                                       the winner
    ftc package artifacts/ckpt-onnx-dynamic-int8    this one
    ftc package --threads 2 --name sentiment          as it will be deployed; the rest is measured
    ftc package --no-tune                             for another machine: the usual settings
    ftc package artifacts/a --ab artifacts/b --split 90:10    one request in ten is answered by b
    ftc package artifacts/a --shadow artifacts/b      what would b have answered?
    ftc package --for edge -o sentiment.tar.gz        for devices
    """
    from bench.winner import latest_winner, measured
    from ftc.checkpoint import open_any
    from ftc.foreign.files import refuse
    from serve.bundle import Settings
    from serve.package import package as run

    if purpose == "edge":
        options.refuse_others(EDGE, "--for edge, which writes a bundle and no service.")
    if artifact is not None:
        refuse(artifact, "packaged")
    chosen = open_any(artifact) if artifact is not None else latest_winner(artifacts)
    second = _second(ab, split, shadow, artifacts)
    if purpose == "edge" and second is not None:
        raise InputError("an edge bundle holds one model: --ab and --shadow belong to a service.")
    if purpose == "edge":
        from serve.edge import package_edge

        target = output or Path(f"{chosen.manifest.name}-{chosen.manifest.id}.tar.gz")
        bundle = package_edge(chosen, target, measured(chosen, artifacts))
        click.echo(json.dumps(asdict(bundle)) if as_json else _edge_report(bundle))
        return
    if output is not None:
        raise InputError("-o names an edge bundle's file; a Bento goes to BentoML's store. Use --name, or --for edge.")
    settings = Settings(
        threads=threads,
        max_batch_size=max_batch_size,
        workers=workers,
        batch_wait_ms=batch_wait_ms,
        max_latency_ms=max_latency_ms,
        max_items=max_items,
        max_queue=max_queue,
        max_body_bytes=max_body_bytes,
        measured=measured(chosen, artifacts),
    )
    tuner = _tuner(chosen, second, time_budget) if tune else None
    packaged = run(chosen, settings, name, second, tuner)
    click.echo(json.dumps(asdict(packaged)) if as_json else _report(packaged))


def _tuner(chosen: Artifact, second: Second | None, budget_s: float) -> Callable[[Settings], Settings]:
    """What chooses settings: the services are started by the one room, and measured by the other."""
    from bench.clients import request
    from bench.side_by_side import side_by_side
    from serve.server import key_header
    from serve.tune import STAGES, Speed
    from serve.tune import tune as run

    def compare(
        urls: Mapping[str, str], bodies: Sequence[Mapping[str, Any]], clients: int
    ) -> Mapping[str, Speed | None]:
        encoded = [json.dumps(body).encode() for body in bodies]
        requests = {name: [request(url, body, headers=key_header()) for body in encoded] for name, url in urls.items()}
        return side_by_side(urls, requests, clients=clients, budget_s=budget_s / STAGES)

    return lambda settings: run(chosen, settings, compare, second)


def _second(ab: Path | None, split: str | None, shadow: Path | None, artifacts: Path) -> Second | None:
    from bench.winner import measured
    from ftc.checkpoint import open_any
    from ftc.foreign.files import refuse
    from serve.bundle import Second
    from serve.split import share_of

    if ab is not None and shadow is not None:
        raise InputError("--ab and --shadow cannot be given together: a service has two models at most.")
    if split is not None and ab is None:
        raise InputError("--split says how requests are shared with a second model: name it with --ab.")
    path = ab or shadow
    if path is None:
        return None
    refuse(path, "packaged")
    artifact = open_any(path)
    share = share_of(split or "50:50") if ab is not None else 0.0
    return Second(artifact, "ab" if ab is not None else "shadow", share, measured(artifact, artifacts))


def _edge_report(bundle: EdgeBundle) -> str:
    from ftc.cli.show import size

    return (
        f"{bundle.path}  {size(bundle.size_bytes)}  sha256 {bundle.sha256}\n"
        f"  checked: its decoder, in a process of its own, answered all {bundle.replayed} golden examples\n"
        f"  its decoder needs: {', '.join(bundle.requirements)}\n"
        "  next: unpack it, sha256sum -c SHA256SUMS, python decode.py --replay"
    )


def _report(packaged: Packaged) -> str:
    from ftc.cli.show import size

    needs = ", ".join(packaged.requirements)
    judge = "the artifact" if packaged.second is None else "the two artifacts"
    return (
        f"{packaged.tag}  {size(packaged.size_bytes)}  {packaged.runtime}\n"
        f"  checked: started, and all {packaged.replayed} golden examples answered as by {judge}\n"
        f"  needs: {needs} and what they need, {packaged.packages} pinned packages of {size(packaged.packages_bytes)}\n"
        f"  next: ftc serve, or bentoml containerize {packaged.tag}"
    )
