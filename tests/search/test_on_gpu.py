"""`ftc optimize --target cuda` without a GPU: what is tried there, in which ways, and what wins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.leaderboard import Leaderboard, rank
from bench.standing import Standing
from ftc.artifact import Artifact
from ftc.cli import main
from ftc.cli.optimize import _plan, _show
from ftc.errors import InputError
from ftc.manifest import Ancestor
from ftc.measurement import Measurement
from ftc.results_file import read_results
from ftc.runtimes.variant import ON_CUDA, Variant
from ftc.search import optimize as module
from ftc.search import pace, plan, timing
from ftc.search.bounds import Bounds
from ftc.search.fates import Fates
from ftc.search.finalists import Hope
from ftc.search.journal import Built, Ended, Journal, Judged, Timed
from ftc.search.links import key, link
from ftc.search.prepare import prepare
from ftc.search.report import write_report
from ftc.search.request import Effort, Request, Target
from ftc.search.result import Result, choose, refusal
from ftc.search.speeds import ByOperations, speeds_of
from ftc.search.store import Store
from ftc.search.workshop import Done, Order
from tests.bench.made import measurement, run
from tests.bench.pretended_gpu import HELD_BYTES, OnPretended, driver
from tests.search import made
from tests.search.here import Here
from tests.search.made import DYNAMIC

ON_GPU = Request(target=Target.CUDA, max_drop=0.2, threads=1, time_budget_s=600.0)
PRUNED = (link("prune", keep=0.5),)


@pytest.fixture
def card(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path_factory.mktemp("driver"), monkeypatch, "0, GPU-1, NVIDIA X, 8192, 1.2")


@pytest.fixture
def pretended(card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is this processor, and three of PyTorch's ways, one of which fails; measurements are short."""
    few = {**ON_CUDA, "torch": tuple(map(Variant.named, ("fp32-eager", "bf16-eager", "fp32-graph")))}
    for of in ("bench.variants", "bench.candidates"):
        monkeypatch.setattr(f"{of}.ON_CUDA", few)
    for of in ("bench.run", "bench.screening"):
        monkeypatch.setattr(f"{of}.Worker", OnPretended)
    for of in ("ftc.search.plan", "bench.run"):
        monkeypatch.setattr(f"{of}.why_not_on_gpu", lambda _runtime: None)
    monkeypatch.setattr(timing, "_TIMING_S", 0.3)
    monkeypatch.setattr(pace, "timing_s", lambda _budget_s: 0.3)


def searched(
    root: Artifact, rows: tuple[Path, Path], place: Path, request: Request = ON_GPU, **given: Any
) -> module.Result:
    return module.optimize(
        root.path, rows[0], final=rows[1], request=request, artifacts=place, workshop=Here(), **given
    )


NO_PROVIDER = "this onnxruntime has no CUDAExecutionProvider"


def without_onnx_runtimes(runtime: str) -> str | None:
    return NO_PROVIDER if runtime == "onnxruntime" else None


def ways_of(result: module.Result, path: Path) -> set[str | None]:
    return {s.candidate.variant for s in result.board.standings if s.candidate.path == str(path)}


@pytest.mark.usefixtures("pretended")
def test_a_search_on_a_gpu(text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path) -> None:
    quick = replace(ON_GPU, effort=Effort.QUICK)
    result = searched(text_root, rows, tmp_path, quick)

    (run,) = read_results(tmp_path / "bench-cuda.jsonl")
    assert run.id == result.board.run
    assert run.conditions.gpu is not None
    assert run.conditions.device == "cuda"
    assert not (tmp_path / "bench.jsonl").exists(), "whose last winner is taken for services"

    entries = Journal(result.journal).entries
    timed = {entry.key: entry for entry in entries if isinstance(entry, Timed)}
    assert {key(()), key(plan.REFERENCE)} <= set(timed)
    assert timed[key(())].ways[-1] == "fp32-eager", "the fastest exact one, where fp32-graph has failed"
    assert timed[key(plan.REFERENCE)].ways == ("fp32-cuda",)
    assert timed[key(())].memory_bytes == HELD_BYTES, "of the GPU, not of the process"
    assert ways_of(result, text_root.path) == {"fp32-eager", *timed[key(())].ways}, "the plain way, and the best"
    built = {entry.key for entry in entries if isinstance(entry, Built)}
    assert any(name.startswith("prune") for name in built), "smaller networks are tried in the best of the forms"
    pruned = next(row for row in result.rows if row.key.startswith("prune") and row.way is not None)
    assert pruned.measured is not None
    assert pruned.way in {*timed[key(())].ways, "fp32-cuda"}

    rows_by_key = {row.key: row for row in result.rows}
    assert rows_by_key[key(())].way in ("fp32-eager", "bf16-eager")
    assert rows_by_key[key(plan.REFERENCE)].way == "fp32-cuda"
    assert not any("quantize" in row.key for row in result.rows)
    winners = [s.candidate for s in result.board.standings if s.verdict == "winner"]
    assert [(winner.path, winner.variant) for winner in winners] == [(str(result.winner), result.way)]
    again = searched(text_root, rows, tmp_path, quick)
    assert again == replace(result, seconds=again.seconds), "what was searched is only told again"
    page = Path(tmp_path / "page.html")
    write_report(result, tmp_path / "bench-cuda.jsonl", page)
    assert f"as it is, {rows_by_key[key(())].way}" in page.read_text()


@pytest.mark.usefixtures("pretended")
def test_without_onnx_runtimes_part_speeds_are_of_the_checkpoint(
    text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "why_not_on_gpu", without_onnx_runtimes)
    request = replace(ON_GPU, effort=Effort.QUICK)
    planned = prepare(text_root.path, rows[0], final=rows[1], request=request, artifacts=tmp_path)
    told = "\n".join(_plan(planned))
    assert "in every way that the GPU has for it but torch.compile:\n     as it is\n" in told
    assert f"     not the float ONNX export: {NO_PROVIDER}" in told
    result = searched(text_root, rows, tmp_path, request, recipe=(PRUNED,))
    assert {row.key for row in result.rows} == {key(()), key(PRUNED)}
    assert all(standing.ratio_to_float_onnx is None for standing in result.board.standings)
    assert "came so far in the search" in (result.board.float_onnx_absent or "")
    pruned = next(row for row in result.rows if row.key == key(PRUNED))
    assert pruned.path is not None
    measured = ways_of(result, pruned.path)
    assert "fp32-eager" in measured
    assert measured <= {"fp32-eager", "bf16-eager"}, "not the way that failed"


class Stopped(Here):
    """Ctrl-C at the first thing that is to be built."""

    def do(self, orders: Sequence[Order]) -> Iterator[Done]:
        raise KeyboardInterrupt
        yield


@pytest.mark.usefixtures("pretended")
def test_stopped_before_anything_was_built_it_may_go_on(
    text_root: Artifact, rows: tuple[Path, Path], tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"final": rows[1], "request": ON_GPU, "artifacts": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        module.optimize(text_root.path, rows[0], **asked, workshop=Stopped())
    assert not (tmp_path / "bench-cuda.jsonl").exists(), "the baseline alone is not worth a measurement"
    (journal,) = tmp_path.rglob("*.jsonl")
    assert not any(isinstance(entry, Ended) for entry in Journal(journal).entries)


def test_what_the_others_are_compared_with_is_out_if_its_plain_way_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made.search(tmp_path, ON_GPU, [()], root=(root := root_of(tmp_path)), store=store_of(tmp_path))
    made.know(one, plan.REFERENCE, None)
    export = one.store.artifact(plan.REFERENCE)
    assert export is not None
    failing = replace(way("onnx", "fp32-cuda", 4000), failure="no memory", turns=())
    others = [way("torch", "fp32-eager", 8000), way("torch", "fp16-graph", 1000)]
    boards = [rank(run(*others, failing, way("onnx", "fp16-tensorrt", 900))), rank(run(*others))]
    named = {"id-of-onnx": export.manifest.id, "id-of-torch": root.manifest.id}
    monkeypatch.setattr(timing, "bench", lambda *_, **__: with_ids(boards.pop(0), named))
    monkeypatch.setattr(timing.Timing, "_ways", lambda _self, some, _first: {a.manifest.id: (None,) for a in some})
    one.store.add(lambda at: Judged(key(()), 100, 0, -1, 1, 0.9, "inside", 1.0, at))
    one.timing.take([key(plan.REFERENCE), key(())])
    assert one.store.failed(key(plan.REFERENCE)) == "failed: no memory"
    assert one.store.timed(key(plan.REFERENCE)) is None, "its other ways were compared with nothing"
    known = one.store.timed(key(()))
    assert known is not None
    assert known.ratio == pytest.approx(8.0), "measured again, beside the checkpoint"
    assert known.ways == ("fp16-graph", "fp32-eager")


def root_of(place: Path) -> Artifact:
    """The checkpoint of runs that are made by hand."""
    root = made.root(place)
    return replace(root, manifest=replace(root.manifest, id="id-of-torch"))


def store_of(place: Path) -> Store:
    return Store(Journal(place / "journal.jsonl"), root_of(place))


def with_ids(board: Leaderboard, ids: Mapping[str, str]) -> Leaderboard:
    """The board as if these artifacts had been measured."""

    def of(standing: Standing) -> Standing:
        (last,) = standing.candidate.lineage
        return replace(standing, candidate=replace(standing.candidate, lineage=(replace(last, id=ids[last.id]),)))

    return replace(board, standings=tuple(map(of, board.standings)))


def test_a_form_that_does_not_tell_its_memory_is_none_where_that_is_limited(tmp_path: Path) -> None:
    for most, forms in ((None, (plan.REFERENCE,)), (1e9, ())):
        place = tmp_path / str(most)
        one = made.search(place, replace(ON_GPU, max_memory_bytes=most), [])
        made.know(one, plan.REFERENCE, None)
        one.store.add(lambda at: Timed(key(plan.REFERENCE), 2.0, 1.9, 2.1, 1e6, None, 1.0, at, ("fp16-tensorrt",)))
        assert one._forms() == forms
        assert (one.contender(key(plan.REFERENCE)).hope is Hope.NONE) == (most is not None)


def test_what_no_gpu_runs_is_refused(text_root: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "why_not_on_gpu", lambda _runtime: None)
    for chain in (DYNAMIC, (link("export", to="tflite"),), (link("export", to="openvino"),)):
        with pytest.raises(InputError, match="--target cuda runs float checkpoints and ONNX; INT8 and the like are"):
            plan.check(text_root, chain, ON_GPU, "candidate 1")
    for chain in (PRUNED, (*PRUNED, *plan.REFERENCE)):
        plan.check(text_root, chain, ON_GPU, "candidate 1")
    with pytest.raises(InputError, match="ends with prune; it must end with export or quantize, to be run"):
        plan.check(text_root, PRUNED, Request(), "candidate 1")
    with pytest.raises(InputError, match="forms are of INT8, made for CPUs"):
        plan.post_training(text_root, ON_GPU, Bounds((("onnx", "dynamic"),)))
    monkeypatch.setattr(plan, "why_not_on_gpu", without_onnx_runtimes)
    with pytest.raises(InputError, match=f"candidate 1: {NO_PROVIDER}"):
        plan.check(text_root, plan.REFERENCE, ON_GPU, "candidate 1")


def test_what_nothing_runs_on_a_gpu_is_refused_with_the_reasons(
    text_root: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", None)
    run = replace(text_root.manifest.run, runtime="keras")
    with pytest.raises(
        InputError, match=r"CUDAExecutionProvider.*\. the checkpoint as it is: keras computes on the CPU"
    ):
        plan.on_a_gpu(replace(text_root, manifest=replace(text_root.manifest, run=run)))
    with pytest.raises(InputError, match=r"the checkpoint as it is: PyTorch .*, built without CUDA, finds no GPU"):
        plan.on_a_gpu(text_root)


def test_a_checkpoint_that_no_gpu_runs_is_a_stage_alone(tmp_path: Path) -> None:
    one = made.search(tmp_path, ON_GPU, [])
    assert not one.runs(one.planned.root)
    made.know(one, plan.REFERENCE, None)
    export = one.store.artifact(plan.REFERENCE)
    assert export is not None
    assert one.runs(export)
    assert made.search(tmp_path / "other", ON_GPU, [()]).runs(one.planned.root)


def test_without_a_gpu_it_is_one_line_and_exit_2(
    text_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch)
    data = tmp_path / "rows.tsv"
    asked = ["optimize", str(text_checkpoint), "--data", str(data), "--target", "cuda"]
    result = CliRunner().invoke(main, [*asked, "--artifacts", str(tmp_path / "made")])
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "--target cuda needs an NVIDIA GPU with its driver, and nvidia-smi lists no GPU" in line
    assert line.endswith("Leave --target out for the CPU.")
    assert not (tmp_path / "made").exists()


def way(name: str, variant: str, latency_ns: int, accuracy: float = 0.9) -> Measurement:
    """A candidate on a GPU; of a checkpoint and its export, the plain way alone is what others are compared with."""
    known, plain = measurement(name, latency_ns, accuracy), variant in ("fp32-eager", "fp32-cuda")
    one = replace(
        known.candidate,
        id=f"{known.candidate.id}-{variant}",
        name=f"{name} {variant}",
        variant=variant,
        is_root=known.candidate.is_root and plain,
        lossless=known.candidate.lossless and plain,
        lineage=(Ancestor(known.candidate.id, name, known.candidate.format, None),),
    )
    return replace(known, candidate=one, peak_gpu_bytes=HELD_BYTES if name == "torch" else None)


def test_the_checkpoint_may_win_in_another_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [way("torch", "fp32-eager", 8000), way("torch", "fp16-graph", 1000), way("onnx", "fp32-cuda", 4000)]
    board = rank(run(*found, way("pruned", "bf16-graph", 500, 0.6)))
    best, is_better, reason = choose(board, ON_GPU)
    assert (best.candidate.name, is_better) == ("torch fp16-graph", True)
    assert "4.00x (3.81-4.20) as fast as float ONNX" in reason

    one = made.search(tmp_path, ON_GPU, [()], store=store_of(tmp_path))
    (row,) = Fates(one, board, best, "won").rows()
    assert (row.key, row.way, row.measured, row.fate) == ("as it is", "fp16-graph", 4.0, "won")
    result = Result(tmp_path / "ckpt", True, reason, board, (), tmp_path / "j", 60, 1, 1, best.candidate.variant)
    _show(result, tmp_path / "report-cuda.html")
    told = capsys.readouterr().out
    assert f"winner: {tmp_path / 'ckpt'}, executed as fp16-graph" in told
    assert "next: run it with PyTorch, replayed from CUDA graphs, in float16; services" in told


def test_memory_is_that_of_the_gpu_and_must_be_known_where_it_is_limited() -> None:
    board = rank(
        run(way("torch", "fp32-eager", 8000), way("torch", "fp16-graph", 1000), way("fp16", "fp16-tensorrt", 500))
    )
    assert choose(board, ON_GPU)[0].candidate.variant == "fp16-tensorrt"
    enough = replace(ON_GPU, max_memory_bytes=1.1 * HELD_BYTES)
    assert choose(board, enough)[0].candidate.variant == "fp16-graph"
    unknown = next(s for s in board.standings if s.candidate.variant == "fp16-tensorrt")
    assert "does not tell what it takes of the GPU's memory" in (refusal(unknown, board, enough) or "")
    best, is_better, reason = choose(board, replace(ON_GPU, max_memory_bytes=0.9 * HELD_BYTES))
    assert (best.candidate.variant, is_better) == ("fp32-eager", False)
    assert "more than --max-memory" in reason


def test_the_plain_checkpoint_may_win_over_its_export() -> None:
    board = rank(run(way("torch", "fp32-eager", 2000), way("onnx", "fp32-cuda", 4000)))
    best, is_better, _ = choose(board, ON_GPU)
    assert (best.candidate.name, is_better) == ("torch fp32-eager", True)


def test_layers_are_timed_on_the_gpu_itself_in_the_best_way_of_the_form(
    text_root: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop = made.Idle(made.root(tmp_path / "checkpoint"))
    orders: list[dict[str, Any]] = []
    told = {"rest": 0.05, "layer": 0.3, "head": 0.01, "neuron": 0.0001, "shapes": [[4, 64], [4, 64]]}
    monkeypatch.setattr(workshop, "do", lambda given: [*orders_of(given, orders, told)])
    quick = replace(ON_GPU, effort=Effort.QUICK)
    one = made.search(tmp_path, quick, [()], workshop=workshop, root=text_root)
    one.store.add(lambda at: Timed(key(()), 2.0, 1.9, 2.1, 1e6, None, 1.0, at, ("fp16-compile", "fp32-graph")))
    speeds = speeds_of(one, ())
    (order,) = orders
    assert {name: order[name] for name in ("way", "to", "mode", "rows")} == {
        "way": "fp16-graph",
        "to": None,
        "mode": None,
        "rows": 1,
    }
    assert speeds is not None
    assert not isinstance(speeds, ByOperations), "narrow layers take as long as wide ones there"
    shape = speeds.shape(1.5, 0.5)
    assert shape is not None
    assert key(shape.chain) == "prune --layers 1"
    assert plan.parts_of_depth(quick) == plan.parts_of_depth(replace(quick, effort=Effort.THOROUGH))


def orders_of(given: Any, orders: list[dict[str, Any]], told: dict[str, Any]) -> list[Any]:
    orders += [json.loads(json.dumps(order.request)) for order in given]
    return [Done(order, told, None, 1.0) for order in given]
