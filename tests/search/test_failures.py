"""A reference that fails: what is compared with it is compared with the checkpoint instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import screening
from bench.leaderboard import Leaderboard, rank
from bench.remote import WorkerError
from ftc.artifact import Artifact
from ftc.search import plan
from ftc.search import timing as module
from ftc.search.links import Chain, key
from ftc.search.request import Request
from ftc.search.search import Search
from ftc.search.timing import Timing
from tests.bench.made import measurement, run
from tests.bench.test_results import with_id
from tests.search import made
from tests.search.made import DYNAMIC, STATIC


def built(tmp_path: Path, *chains: Chain) -> Search:
    search = made.search(tmp_path, Request(), chains)
    search.building.make((plan.REFERENCE, *chains))
    return search


def test_a_float_export_that_cannot_answer_is_a_row_and_the_checkpoint_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(artifact: Artifact, data: Any, **_options: Any) -> np.ndarray:
        if artifact.manifest.id == float_onnx.manifest.id:
            raise WorkerError("no such instruction")
        return np.asarray(data.labels)

    search = built(tmp_path, DYNAMIC)
    float_onnx = search.store.artifact(plan.REFERENCE)
    assert float_onnx is not None
    monkeypatch.setattr(screening, "answers", answers)
    assert search.judging.judge(plan.REFERENCE) is None
    judged = search.judging.judge(DYNAMIC)
    assert judged is not None
    assert judged.points == 0
    assert search.store.failed(key(plan.REFERENCE)) == "no such instruction"
    search.building.make([STATIC])
    assert search.store.artifact(STATIC) is not None, "what was built can be built on"


def test_where_the_reference_fails_the_others_are_timed_beside_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = built(tmp_path, DYNAMIC)
    for chain in (plan.REFERENCE, DYNAMIC):
        made.know(search, chain, None)
    timed: list[list[str]] = []

    def bench(candidates: Sequence[Artifact], **_options: Any) -> Leaderboard:
        timed.append([one.manifest.format for one in candidates])
        one = run(measurement("onnx", None, failure="killed"), measurement("int8", 2000))
        if candidates[0].manifest.is_root:
            one = run(measurement("torch", 8000), measurement("int8", 2000))
        for name, artifact in zip([m.candidate.name for m in one.measurements], candidates, strict=True):
            one = with_id(one, name, artifact)
        return rank(one)

    monkeypatch.setattr(module, "bench", bench)
    Timing(search).take([key(plan.REFERENCE), key(DYNAMIC)])
    assert timed == [["onnx", "onnx"], ["huggingface", "onnx"]]
    known = search.store.timed(key(DYNAMIC))
    assert known is not None
    assert known.ratio == pytest.approx(4, rel=0.01)
    assert search.store.failed(key(DYNAMIC)) is None
    assert search.store.failed(key(plan.REFERENCE)) == "failed: killed"
