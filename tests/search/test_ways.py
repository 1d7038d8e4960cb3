"""In which ways a GPU's artifacts are measured: all at first, and which are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.intervals import Ratio
from bench.standing import Standing, Verdict
from ftc.artifact import Artifact
from ftc.runtimes.variant import ON_CUDA
from ftc.search.request import Effort, Request, Target
from ftc.search.ways import best_of, first_ways, later_ways, names_of_best, soon_open
from tests.bench.made import candidate

ON_GPU = Request(target=Target.CUDA)


def standing(variant: str | None, ratio: float | None, verdict: Verdict = "slower") -> Standing:
    known = Ratio(ratio, ratio, ratio) if ratio is not None else None
    return Standing(replace(candidate("torch"), variant=variant), verdict, "", {}, ratio_to_root=known)


def test_the_fastest_way_is_kept_and_the_fastest_exact_one() -> None:
    measured = [standing("fp32-eager", 1.0), standing("fp16-graph", 3.0), standing("fp32-graph", 2.0)]
    assert names_of_best(measured, ON_GPU) == ("fp16-graph", "fp32-graph")
    assert best_of(measured).candidate.variant == "fp16-graph"
    failed = standing("bf16-graph", None, "failed")
    assert names_of_best([failed, *measured[:1]], ON_GPU) == ("fp32-eager",)
    assert best_of([failed, standing("fp32-compile", None)]).candidate.variant == "fp32-compile"
    assert best_of([failed]) is failed
    assert names_of_best([standing(None, 2.0)], Request()) == (), "a CPU leaves no choice"


def test_of_ways_that_are_as_fast_the_finest_is_taken() -> None:
    measured = [standing("fp32-eager", 1.0), standing("bf16-graph", 3.05), standing("fp16-graph", 3.0)]
    assert names_of_best(measured, ON_GPU) == ("fp16-graph", "fp32-eager")
    assert names_of_best([*measured, standing("fp32-graph", 2.98)], ON_GPU) == ("fp32-graph",)
    assert names_of_best([*measured, standing("bf16-compile", 4.0)], ON_GPU) == ("bf16-compile", "fp32-eager")


def test_a_way_that_breaks_a_limit_is_not_kept_while_another_keeps_it() -> None:
    limited = replace(ON_GPU, max_memory_bytes=5e8)
    graph, eager = (
        replace(standing(f"fp16-{way}", ratio), peak_gpu_bytes=held)
        for way, ratio, held in (("graph", 3.0, 10**9), ("eager", 2.0, 10**8))
    )
    assert names_of_best([graph, eager], limited) == ("fp16-eager",)
    assert names_of_best([graph], limited) == ("fp16-graph",), "a smaller network may keep it"


def test_ways_are_all_at_first_and_then_those_that_were_best(text_root: Artifact) -> None:
    def named(best: Sequence[str] = (), *, first: bool = False) -> list[str]:
        return [str(way) for way in later_ways(text_root, ON_GPU, best, is_compared_with=first)]

    assert [str(one) for one in first_ways(text_root, ON_GPU)] == list(map(str, ON_CUDA["torch"]))
    quick = first_ways(text_root, replace(ON_GPU, effort=Effort.QUICK))
    assert not any("compile" in str(one) for one in quick), "which takes a minute or more"
    assert len(quick) == 6
    assert named(["fp16-graph", "fp32-graph"]) == ["fp32-graph", "fp16-graph"]
    assert named(["fp16-graph"], first=True) == ["fp32-eager", "fp16-graph"]
    assert named() == ["fp32-eager"]
    assert later_ways(text_root, Request(), (), is_compared_with=True) == (None,)


@pytest.mark.parametrize(
    ("named", "opened"),
    [("fp16-compile", "fp16-graph"), ("fp16-tensorrt", "fp32-cuda"), ("bf16-eager", "bf16-eager")],
)
def test_many_shapes_are_timed_in_ways_that_open_soon(named: str, opened: str) -> None:
    assert str(soon_open(named)) == opened
