"""A run of the benchmark as runs of MLflow: one for each candidate, below one that holds the results file."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.leaderboard import Leaderboard
from bench.standing import Standing
from ftc.errors import InputError, MissingExtra, RunError
from ftc.quiet import quiet_libraries

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_NEEDED = ("mlflow", "sqlalchemy", "alembic")
"""The small distribution of MLflow leaves out what its local store is made of."""

_LONGEST_VALUE = 6000
"""Letters of a parameter (mlflow.utils.validation.MAX_PARAM_VAL_LENGTH)."""

_NOT_IN_KEYS = re.compile(r"[^\w\-./ ]")
"""What MLflow refuses in the name of a parameter or a metric."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where runs go, known to be there.

    :param uri: as MLflow names it
    """

    uri: str
    client: MlflowClient


def open_store(uri: str | None) -> Store:
    """Open MLflow's tracking store, so that nothing is measured for one that cannot be had.

    :param uri: None is MLflow's own: what MLFLOW_TRACKING_URI names, else `sqlite:///mlflow.db` in this directory
    :raises MissingExtra: if MLflow is not installed
    :raises InputError: if there is no store at `uri`
    """
    for module in _NEEDED:
        if find_spec(module) is None:
            raise MissingExtra("--mlflow", module, "mlflow")
    if uri is not None and "://" not in uri:
        raise InputError(
            f"--mlflow {uri}: not the address of a tracking store, such as sqlite:///mlflow.db or http://HOST:5000. "
            "Paths of candidates come before --mlflow."
        )
    from mlflow.tracking import MlflowClient

    with quiet_libraries(), _explained(uri or "MLflow's store", InputError):
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
        return Store(client.tracking_uri, client)


def log(board: Leaderboard, results_path: Path | None, store: Store) -> str:
    """Log a ranked run.

    :param results_path: the results file, kept with the run if there is one
    :return: the name of the experiment: that of the checkpoint
    :raises RunError: if the store fails
    """
    name = _experiment(board)
    with quiet_libraries(), _explained(store.uri, RunError):
        known = store.client.get_experiment_by_name(name)
        experiment = known.experiment_id if known is not None else store.client.create_experiment(name)
        tags = {"ftc.run": board.run, "ftc.reason": board.reason}
        whole = _logged(store.client, experiment, f"bench {board.run}", _conditions(board), {}, tags)
        if results_path is not None:
            store.client.log_artifact(whole, str(results_path))
        for standing in board.standings:
            tags = {
                "mlflow.parentRunId": whole,
                "ftc.run": board.run,
                "ftc.candidate": standing.candidate.id,
                "ftc.verdict": standing.verdict,
                "ftc.reason": board.reason if standing.verdict == "winner" else standing.reason,
            }
            params = _conditions(board) | _made(standing)
            _logged(store.client, experiment, standing.candidate.name, params, _metrics(standing), tags)
    return name


def _logged(
    client: MlflowClient,
    experiment: str,
    name: str,
    params: Mapping[str, object],
    metrics: Mapping[str, float | None],
    tags: Mapping[str, str],
) -> str:
    from mlflow.entities import Metric, Param

    run = client.create_run(experiment, run_name=name, tags=dict(tags))
    of = run.info.run_id
    client.log_batch(
        of,
        params=[Param(_key(key), str(value)[:_LONGEST_VALUE]) for key, value in params.items() if value is not None],
        metrics=[
            Metric(_key(key), float(value), run.info.start_time, 0)
            for key, value in metrics.items()
            if value is not None and math.isfinite(value)
        ],
    )
    client.set_terminated(of)
    return str(of)


def _experiment(board: Leaderboard) -> str:
    root = next((s.candidate.name for s in board.standings if s.candidate.is_root), None)
    lineages = (s.candidate.lineage for s in board.standings if s.candidate.lineage)
    return root or next((lineage[0].name for lineage in lineages), board.root_id)


def _conditions(board: Leaderboard) -> dict[str, object]:
    """What all candidates were measured under."""
    known, data = board.conditions, board.conditions.data
    return {
        "cpu": known.machine.cpu,
        "cores": known.machine.cores,
        "instructions": ", ".join(known.machine.instructions),
        "governor": known.machine.governor,
        "cpu_quota": known.machine.cpu_quota,
        "memory_bytes": known.machine.memory_bytes,
        "device": known.device,
        "gpu": known.gpu,
        "threads": known.threads,
        "scenario": known.scenario,
        "rate_per_s": known.arrivals.rate_per_s if known.arrivals is not None else None,
        "latency_bound_ms": known.arrivals.bound_ms if known.arrivals is not None else None,
        "timed_examples": known.timed_examples,
        "length_median": known.lengths[0],
        "length_longest": known.lengths[1],
        "seed": known.seed,
        "max_drop_points": board.max_drop_points,
        "data": data.source if data is not None else None,
        "data_fingerprint": data.fingerprint if data is not None else None,
        "data_rows": data.rows if data is not None else None,
        **{f"version.{name}": version for name, version in known.machine.versions.items()},
    }


def _made(standing: Standing) -> dict[str, object]:
    """What the candidate is, with the options of every step that led to it."""
    one = standing.candidate
    made: dict[str, object] = {"format": one.format, "runtime": one.runtime}
    steps = [ancestor.step for ancestor in one.lineage if ancestor.step is not None]
    made["steps"] = " -> ".join(step.name for step in steps) or None
    times: Counter[str] = Counter()
    for step in steps:
        times[step.name] += 1
        name = step.name if times[step.name] == 1 else f"{step.name}-{times[step.name]}"
        made |= {f"{name}.{option}": value for option, value in step.options.items()}
    return made


def _metrics(standing: Standing) -> dict[str, float | None]:
    ratio, drop = (standing.cells[0].ratio if standing.cells else None), standing.drop
    return {
        **standing.metrics,
        "latency_p50_ms": _milliseconds(standing.p50_ns),
        "latency_p90_ms": _milliseconds(standing.p90_ns),
        "latency_p99_ms": _milliseconds(standing.p99_ns),
        "speed": ratio.value if ratio is not None else None,
        "speed_low": ratio.low if ratio is not None else None,
        "speed_high": ratio.high if ratio is not None else None,
        "drop_points": standing.drop_points,
        "drop_low_points": drop.low_points if drop is not None else None,
        "drop_high_points": drop.high_points if drop is not None else None,
        "rows_per_second": standing.rows_per_second,
        "size_bytes": standing.candidate.size_bytes,
        "peak_rss_bytes": standing.peak_rss_bytes,
        "peak_gpu_bytes": standing.peak_gpu_bytes,
        "power_w": standing.power_w,
        "load_ms": _milliseconds(standing.load_ns),
        "first_call_ms": _milliseconds(standing.first_call_ns),
        "encode_p50_ms": _milliseconds(standing.encode_p50_ns),
        "decode_p50_ms": _milliseconds(standing.decode_p50_ns),
    }


def _milliseconds(value_ns: float | None) -> float | None:
    return None if value_ns is None else value_ns / 1e6


def _key(name: str) -> str:
    return _NOT_IN_KEYS.sub("_", name)[:250]


@contextmanager
def _explained(where: str, kind: type[Any]) -> Iterator[None]:
    """What MLflow and its database raise, as one message."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        said = " ".join(str(error).split())[:300]
        raise kind(f"{where} cannot be used to log to: {said}. Give another with --mlflow URI.") from error
