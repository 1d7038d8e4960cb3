"""What the scripts about `ftc bench` share: a file beside itself in a second process, and other work on a core."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.leaderboard import Leaderboard
from bench.options import Options
from bench.run import TWIN, bench
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.console import verbosity
from ftc.data import Dataset, load
from ftc.tasks import TASKS

# it ends with the script, however that ends
HOG = "import os; os.sched_setaffinity(0, {%d}); parent = os.getppid()\nwhile os.getppid() == parent: pass"


def arguments(description: str | None, runs: int, budget_s: float, *, against: bool = False) -> argparse.Namespace:
    """The options of these scripts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("artifact", type=Path, help="Such as the float ONNX export that ftc export made.")
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--time-budget", type=float, default=budget_s)
    parser.add_argument("--threads", type=int)
    if against:
        parser.add_argument("--against", nargs="+", required=True, help="Artifacts that are compared with it.")
    given = parser.parse_args()
    verbosity.quiet = True
    return given


def opened(given: argparse.Namespace) -> tuple[Artifact, Dataset]:
    """The artifact, and rows whose labels are left out: accuracy is not what is asked here."""
    artifact = open_any(given.artifact)
    modality = TASKS.load(artifact.manifest.task).modality
    data = load(given.data, modality=modality, classes=artifact.manifest.labels)
    return artifact, data.sample(64, 0)


def pair(given: argparse.Namespace, seed: int, module: str | None = None) -> Leaderboard:
    """The artifact beside itself, latency at batch 1 alone; `module` runs in the second process."""
    artifact, data = opened(given)
    options = Options(
        threads=given.threads, batch_size=1, time_budget_s=given.time_budget, seed=seed, self_check=True, limit=1
    )
    modules = {artifact.manifest.id + TWIN: module} if module is not None else None
    return bench([artifact], data=data, options=options, modules=modules)


@contextmanager
def hog(core: int | None) -> Iterator[None]:
    """Other work that takes one core whole; none where no core is named."""
    if core is None:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", HOG % core])
    time.sleep(0.5)
    try:
        yield
    finally:
        process.kill()
        process.wait()
