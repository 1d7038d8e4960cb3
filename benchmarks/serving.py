"""A service beside its bare session, and beside the same session behind Flask on gunicorn, on the same cores.

Every round asks each of them for some seconds, one after the other; the others are idle then. Needs flask and gunicorn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from served import served, texts_of

from bench.clients import closed_loop, request
from bench.drive import Answers
from ftc.artifact import open_artifact
from ftc.runtimes.session import SessionOptions, available_cores, open_session
from ftc.tasks.task import open_task
from serve.server import free_port

FLASK = """
import sys
from pathlib import Path
from flask import Flask, jsonify, request
from ftc.artifact import open_artifact
from ftc.runtimes.session import SessionOptions, open_session
from ftc.tasks.task import open_task

artifact = open_artifact(Path({path!r}))
task, session = open_task(artifact), open_session(artifact, SessionOptions({threads}))
app = Flask("beside")

@app.post("/predict")
def predict():
    answers = task.decode(session.run(task.encode(request.get_json()["texts"])))
    return jsonify([{{"label": answer.label, "score": answer.score}} for answer in answers])
"""

FLAVOURS = {
    "sync workers": lambda cores: ["-w", str(cores), "-k", "sync"],
    "threads": lambda cores: ["-w", str(cores), "-k", "gthread", "--threads", "16"],
}
"""As tutorials have it: a process for each core, each with one thread for the model."""


@dataclass(frozen=True, slots=True)
class Measured:
    """:param cpu_ms: of the server's processes, for each answer: what a busy machine changes least"""

    answers: Answers
    cpu_ms: float


def _cpu_s(pid: int) -> float:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in family)


@contextmanager
def flask(artifact: Path, place: Path, flavour: str) -> Iterator[tuple[str, int]]:
    """The session behind Flask, on gunicorn: its address and process."""
    port, cores = free_port(), available_cores()
    place.mkdir()
    (place / "beside.py").write_text(FLASK.format(path=str(artifact.resolve()), threads=1))
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", *FLAVOURS[flavour](cores), "beside:app"]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=place, stdout=log, stderr=log, env=dict(os.environ))
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str) -> None:
    for _ in range(200):
        try:
            closed_loop(url, [request(url, b'{"texts": ["good"]}')], clients=4, seconds=0.5)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers at {url}")


def bare(artifact: Path, lists: Sequence[Sequence[str]], seconds: float, threads: int, callers: int) -> float:
    """Rows a second of encode, run and decode in lists as they come."""
    opened = open_artifact(artifact)
    task, session = open_task(opened), open_session(opened, SessionOptions(threads))
    rows = [0] * callers

    def work(number: int) -> None:
        until, place = time.perf_counter() + seconds, number
        while time.perf_counter() < until:
            task.decode(session.run(task.encode(lists[place % len(lists)])))
            rows[number] += len(lists[0])
            place += callers

    workers = [threading.Thread(target=work, args=(number,)) for number in range(callers)]
    begun_s = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rows) / (time.perf_counter() - begun_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path, help="a text classifier")
    parser.add_argument("--data", required=True, help="texts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each of them in each round")
    options = parser.parse_args()
    artifact: Path = options.artifact
    texts = texts_of(artifact, options.data, 1024)
    lists = [texts[start : start + 16] for start in range(0, len(texts) - 15, 16)]
    cores = available_cores()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        server, _ = stack.enter_context(served(artifact))
        flasks = {name: stack.enter_context(flask(artifact, Path(scratch) / name, name)) for name in FLAVOURS}

        def asked(server: tuple[str, int], bodies: Sequence[Any], clients: int) -> Callable[[], Measured]:
            url, pid = server
            prepared = [request(url, json.dumps({"texts": body}).encode()) for body in bodies]

            def run() -> Measured:
                begun_s = _cpu_s(pid)
                answers = closed_loop(url, prepared, clients=clients, seconds=options.seconds)
                return Measured(answers, 1e3 * (_cpu_s(pid) - begun_s) / len(answers.latencies_ns))

            return run

        service = (server.url, server.process.pid)
        singles = [[text] for text in texts]
        runs: dict[str, Callable[[], Measured]] = {
            "service, 1 text, 32 clients": asked(service, singles, 32),
            **{f"flask {name}, 1 text, 32 clients": asked(place, singles, 32) for name, place in flasks.items()},
            "service, 16 texts, 4 clients": asked(service, lists, 4),
            "service, 1 text, 1 client": asked(service, singles, 1),
        }
        answered: dict[str, list[Measured]] = {name: [] for name in runs}
        sessions: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for name, run in runs.items():
                answered[name].append(run())
            for threads, callers in {(cores, 1), (1, cores)}:
                rate = bare(artifact, lists, options.seconds, threads, callers)
                sessions.setdefault(f"bare session, 16 texts, {callers} x {threads} threads", []).append(rate)
    for name, results in answered.items():
        per, answers = (16 if "16 texts" in name else 1), [result.answers for result in results]
        print(
            f"{name:40} {per * statistics.median(a.per_second() for a in answers):7.0f} rows/s"
            f"  p50 {statistics.median(a.percentile_ms(0.5) for a in answers):6.1f} ms"
            f"  p99 {statistics.median(a.percentile_ms(0.99) for a in answers):6.1f} ms"
            f"  processor {statistics.median(result.cpu_ms for result in results) / per:5.2f} ms a row"
            f"  not 200: {sum(a.errors for a in answers)}"
        )
    for name, rates in sessions.items():
        print(f"{name:40} {statistics.median(rates):7.0f} rows/s")

    def ratio(of: Sequence[float], to: Sequence[float]) -> str:
        ratios = sorted(a / b for a, b in zip(of, to, strict=True))
        return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"

    rates = {name: [result.answers.per_second() for result in results] for name, results in answered.items()}
    singly = rates["service, 1 text, 32 clients"]
    for name in flasks:
        print(f"service / flask {name}: {ratio(singly, rates[f'flask {name}, 1 text, 32 clients'])}")
    for name, of in sessions.items():
        print(f"service / {name}: {ratio([16 * rate for rate in rates['service, 16 texts, 4 clients']], of)}")


if __name__ == "__main__":
    main()
