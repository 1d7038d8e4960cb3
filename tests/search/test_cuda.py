"""`ftc optimize --target cuda` on a real GPU; the rest of it is tested without one in test_on_gpu.py."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ftc.artifact import Artifact
from ftc.data import Columns
from ftc.declared import Declared
from ftc.gpu import listed
from ftc.search import job
from ftc.search.optimize import optimize
from ftc.search.parts import Source
from ftc.search.request import Effort, Request, Target
from ftc.search.store import TABLE
from ftc.search.workshop import Order, Processes

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
if not (listed() and torch.cuda.is_available()):
    pytest.skip("needs an NVIDIA GPU, its driver, and a PyTorch built for CUDA", allow_module_level=True)


def test_layers_are_timed_on_the_gpu(text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path) -> None:
    source = Source(str(rows[0]), Columns())
    request = job.table("tiny-table", text_root, Declared(), (), 8, (1,), source, "fp16-graph")
    (done,) = Processes(tmp_path / "logs").do([Order(TABLE, request, 240.0)])
    assert done.failure is None
    assert done.result is not None
    assert all(math.isfinite(done.result[name]) for name in ("rest", "layer", "head", "neuron"))


def test_a_whole_search(text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path) -> None:
    request = Request(target=Target.CUDA, effort=Effort.QUICK, max_drop=0.2, time_budget_s=240)
    result = optimize(text_root.path, rows[0], final=rows[1], request=request, artifacts=tmp_path)
    assert result.board.conditions.gpu is not None
    assert result.rows
    assert all(standing.verdict != "failed" for standing in result.board.standings)
    assert result.way is not None
