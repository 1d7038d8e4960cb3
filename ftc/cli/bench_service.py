"""`ftc bench --service`"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from ftc.cli import options
from ftc.console import caution
from ftc.errors import InputError

if TYPE_CHECKING:
    from bench.options import Options
    from ftc.artifact import Artifact
    from ftc.data import Dataset, Example
    from serve.reach import Reached

USED = frozenset(
    {
        *("service", "clients", "paths", "data", "rate", "batch_size", "threads", "time_budget", "precision"),
        *("time_limit", "seed", "output", "as_json", "text_column", "text_pair_column", "label_column"),
        *("image_column", "split", "limit"),
    }
)
"""Options that mean something for a service; the others are refused."""


def bench_service(
    target: str,
    path: Path | None,
    data: str | None,
    *,
    clients: int,
    rows: int,
    wanted: Options,
    rate_per_s: float | None,
    limit: int | None,
    output: Path | None,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Reach the service, ask it in three ways, and print what was found."""
    from bench import results, service, service_report
    from bench.clients import request
    from bench.options import check_positive
    from bench.plan import TIMED_EXAMPLES
    from ftc.checkpoint import open_any
    from ftc.manifest import DataRecord
    from serve.bundle import Settings
    from serve.model import threads_and_callers
    from serve.reach import reached
    from serve.replay import request_body
    from serve.server import key_header

    check_positive("rate", rate_per_s, "requests in a second")
    if output is not None:  # before anything is measured, which cannot be had again
        service_report.check(output)
        click.get_current_context().with_resource(results.held(output))
    given = open_any(path) if path is not None else None
    with reached(target) as there:
        artifact = given or there.artifact
        _check(there, artifact)
        dataset = _dataset(there, data, artifact, limit or TIMED_EXAMPLES, wanted.seed, columns)
        examples = list(dataset.examples) if dataset is not None else _golden(artifact)[:limit]
        if len(examples) < rows:
            raise InputError(
                f"--batch-size {rows}: there are {len(examples)} rows to ask for. Give more, or a smaller one."
            )
        batches = [examples[start : start + rows] for start in range(0, len(examples) - rows + 1, rows)]
        bodies = [json.dumps(request_body(*batch)).encode() for batch in batches]
        threads = wanted.threads
        if artifact is not None and threads is None:
            as_served = Settings(threads=there.about.get("threads"))
            threads = threads_and_callers(artifact.manifest.run.runtime, as_served)[0]
        run = service.measure(
            there.url,
            [request(there.url, body, headers=key_header()) for body in bodies],
            clients=clients,
            rate_per_s=rate_per_s,
            options=wanted,
            rows=batches,
            artifact=artifact,
            threads=threads,
            data=DataRecord(dataset.source, dataset.fingerprint, len(dataset)) if dataset is not None else None,
        )
    if as_json:
        click.echo(json.dumps({"service": there.about, **service_report.to_values(run)}, indent=2))
    else:
        service_report.show(run, there.about)
    if output is not None:
        service_report.write(run, output)


def _check(there: Reached, artifact: Artifact | None) -> None:
    if artifact is not None and artifact.manifest.id != there.about.get("id"):
        raise InputError(
            f"the service holds {there.about['name']} (id {there.about.get('id')}), not {artifact.path} "
            f"(id {artifact.manifest.id}): name the artifact that it was packaged from, or none."
        )
    if any(variant["role"] == "ab" for variant in there.about.get("variants", ())):
        caution("two models share the requests of this service: its times are of both.")
    host = urlsplit(there.url).hostname or ""
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if artifact is not None and not is_here:
        caution(f"the service is on {host}, the bare session on this machine: the overhead holds the difference.")


def _dataset(
    there: Reached, data: str | None, artifact: Artifact | None, most: int, seed: int, columns: dict[str, str | None]
) -> Dataset | None:
    from ftc.tasks import TASKS

    if data is None:
        if artifact is None:
            raise InputError("--data is needed to ask a service at a URL: rows such as it is meant for.")
        caution("no --data: the service is asked a few built-in examples, whose lengths are not those of your data.")
        return None
    modality = TASKS.load(there.about["task"]).modality
    loaded = options.load_rows(data, modality, tuple(there.about["labels"]), need_labels=False, **columns)
    return loaded.sample(most, seed)


def _golden(artifact: Artifact | None) -> Sequence[Example]:
    from ftc import golden

    assert artifact is not None, "without one, data is required"
    return list(golden.read(artifact.path).examples)
