"""`ftc bench --device cuda` without a GPU: its candidates, refusals, clock, conditions, records and columns."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench import alike, report
from bench.candidates import described
from bench.clock import EventClock, OnDevice, settle, time_calls
from bench.leaderboard import rank
from bench.on_gpu import OnGpu, power_w, watched
from bench.options import Options
from bench.remote import Usage, Worker
from bench.results import append
from bench.run import TWIN, bench
from bench.variants import variants
from bench.winner import latest_winner
from ftc import gpu
from ftc.artifact import Artifact
from ftc.cli import main
from ftc.data import Dataset
from ftc.errors import InputError
from ftc.gpu import Gpu
from ftc.records import Closed, Ended, RunBegun, TurnTaken
from ftc.results_file import read_results
from ftc.runtimes.variant import ON_CUDA, Variant
from tests.bench import made
from tests.bench.pretended_gpu import HELD_BYTES, Moment, driver

CARD = Gpu("NVIDIA X", 8192, "1.2")
PRETENDED = "tests.bench.pretended_gpu"


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, monkeypatch, "0, GPU-1, NVIDIA X, 8192, 1.2")


class Ticks:
    """Events of a device whose time is what a test says; read again and again, it goes on by itself."""

    def __init__(self, times_ms: Iterable[float]) -> None:
        self._times = iter(times_ms)
        self.waited: list[float] = []

    def event(self) -> Any:
        ticks = self

        class Tick:
            at: float | None = None

            def record(self) -> None:
                self.at = next(ticks._times)

            def synchronize(self) -> None:
                assert self.at is not None, "recorded before it is waited for"
                ticks.waited.append(self.at)

            def elapsed_time(self, end: Self) -> float:
                assert self.at in ticks.waited, "both have come to pass"
                assert end.at in ticks.waited
                assert self.at is not None
                assert end.at is not None
                return float(np.float32(end.at - self.at))

        return Tick()


class Session:
    """One whose calls take what the clock says."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.calls += 1
        return {}


def test_every_variant_has_a_name_that_says_it() -> None:
    for variant in (variant for ways in ON_CUDA.values() for variant in ways):
        assert Variant.named(str(variant)) == variant
    with pytest.raises(InputError, match="names no way"):
        Variant.named("fp8-eager")


def test_a_checkpoint_is_measured_in_each_variant_and_compared_with_the_plain_one(text_root: Artifact) -> None:
    ways = variants(text_root, "cuda")
    assert [str(way) for way in ways] == [
        f"{precision}-{way}" for precision in ("fp32", "fp16", "bf16") for way in ("eager", "compile", "graph")
    ]
    candidates = [described(text_root, text_root.manifest.id, way) for way in ways]
    assert len({candidate.id for candidate in candidates}) == len({candidate.name for candidate in candidates}) == 9
    assert [candidate.variant for candidate in candidates if candidate.is_root] == ["fp32-eager"]
    assert {candidate.variant for candidate in candidates if candidate.lossless} == {
        "fp32-eager",
        "fp32-compile",
        "fp32-graph",
    }
    assert variants(text_root, "cpu") == (None,)
    assert described(text_root, text_root.manifest.id).variant is None


def test_tensorrt_is_measured_where_it_is_installed(text_onnx: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    for there, wanted in ((False, ["fp32-cuda"]), (True, ["fp32-cuda", "fp32-tensorrt", "fp16-tensorrt"])):
        monkeypatch.setattr("bench.variants.has_tensorrt", lambda there=there: there)
        assert [str(way) for way in variants(text_onnx, "cuda")] == wanted
    root_id = text_onnx.manifest.root_id
    floats = [described(text_onnx, root_id, way) for way in variants(text_onnx, "cuda")]
    assert [candidate.variant for candidate in floats if candidate.is_float_onnx] == ["fp32-cuda"]


def test_what_is_not_for_gpus_is_one_candidate_there(text_int8: Artifact, text_tflite: Artifact) -> None:
    assert [str(way) for way in variants(text_int8, "cuda")] == ["fp32-cuda"]
    assert variants(text_tflite, "cuda") == (None,)


@given(steps=st.lists(st.floats(0.001, 1e5), min_size=1, max_size=20), start=st.floats(0, 1e3))
def test_the_devices_clock_adds_up_what_lies_between_its_readings(steps: list[float], start: float) -> None:
    moments = np.cumsum([0.0, *steps]) + start
    ticks = Ticks(moments.tolist())
    clock = EventClock(ticks.event)
    readings = [clock() for _ in steps]
    assert readings == sorted(readings)
    assert ticks.waited == moments.tolist()
    assert readings[-1] == pytest.approx((moments[-1] - start) * 1e6, rel=1e-6, abs=len(steps))


def test_an_hour_after_the_first_call_a_call_is_known_as_well_as_before() -> None:
    hour_ms = 3_600_000.0
    clock = EventClock(Ticks([0.0, hour_ms, hour_ms + 0.1, hour_ms + 0.2]).event)
    clock()
    times = time_calls(Session(), [{}], clock=clock)  # type: ignore[arg-type]
    assert times == [100_000]


def test_calls_are_made_until_they_take_no_shorter_time() -> None:
    now = 0
    session = Session()

    def clock() -> int:
        nonlocal now
        now += 1_000_000 if session.calls > 40 else 1_000_000 + 100_000 * (40 - session.calls)
        return now

    made_calls = settle(session, {}, clock)  # type: ignore[arg-type]
    assert made_calls == session.calls
    assert 50 <= made_calls <= 70


def test_settling_ends_where_nothing_settles() -> None:
    now, step = 0, 1_000_000
    session = Session()

    def clock() -> int:
        nonlocal now, step
        now, step = now + step, int(step * 1.01)
        return now

    settle(session, {}, clock)  # type: ignore[arg-type]
    assert now < 10 * 500_000_000


def test_power_is_energy_over_the_time_of_turns_alone() -> None:
    energy_mj, host_ns = iter([1000, 3000, 9000, 10_000]), iter([0, 10**9, 50 * 10**9, 51 * 10**9])
    on_gpu = OnGpu(Session(), lambda: next(energy_mj), lambda: next(host_ns))  # type: ignore[arg-type]
    assert power_w(on_gpu.spent_mj, on_gpu.computed_ns) is None
    with on_gpu.turn():
        pass
    assert power_w(on_gpu.spent_mj, on_gpu.computed_ns) == pytest.approx(2.0)
    with on_gpu.turn():
        pass
    assert power_w(on_gpu.spent_mj, on_gpu.computed_ns) == pytest.approx(1.5)
    assert on_gpu.peak_bytes is None
    untold = OnGpu(Session(), None)  # type: ignore[arg-type]
    with untold.turn():
        pass
    assert (untold.spent_mj, untold.computed_ns) == (0, 0)


def test_energy_is_read_where_the_driver_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nvml:
        class NVMLError(Exception):
            pass

        counts = True

        def nvmlInit(self) -> None:  # noqa: N802
            pass

        def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
            return uuid

        def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
            if not self.counts:
                raise self.NVMLError
            return {"GPU-1": 42}[handle]

    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    meter = gpu.energy_meter("GPU-1")
    assert meter is not None
    assert meter() == 42
    nvml.counts = False
    assert gpu.energy_meter("GPU-1") is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.energy_meter("GPU-1") is None


@pytest.mark.parametrize(
    ("visible", "wanted"), [(None, "NVIDIA X"), ("1", "NVIDIA Y"), ("GPU-bb", "NVIDIA Y"), ("1,0", "NVIDIA Y")]
)
def test_the_gpu_is_the_first_that_may_be_seen(
    visible: str | None, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, "0, GPU-aa, NVIDIA X, 8192, 1.2", "1, GPU-bb, NVIDIA Y, 100, 1.2", "nonsense")
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert gpu.chosen(environment).gpu.name == wanted
    for none in ("", "-1", "7"):
        with pytest.raises(InputError, match="names none"):
            gpu.chosen({"CUDA_VISIBLE_DEVICES": none})


def test_without_a_gpu_it_is_one_line_and_exit_2(
    text_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch)
    result = CliRunner().invoke(main, ["bench", str(text_checkpoint), "--device", "cuda"])
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "--device cuda needs an NVIDIA GPU with its driver, and nvidia-smi lists no GPU" in line
    assert not result.stdout
    with pytest.raises(InputError, match="needs an NVIDIA GPU"):
        bench([text_checkpoint], options=Options(device="cuda"))  # type: ignore[list-item]


def _refused(runtime: str) -> str | None:
    return f"{runtime} was built without CUDA." if runtime == "torch" else None


@pytest.mark.usefixtures("card")
def test_where_nothing_can_use_the_gpu_it_is_one_line_too(text_root: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.why_not_on_gpu", _refused)
    with pytest.raises(InputError, match=r"none of these candidates can use the GPU\. torch was built without CUDA\.$"):
        bench([text_root], options=Options(device="cuda"))


@pytest.mark.usefixtures("card")
def test_a_runtime_that_cannot_use_the_gpu_says_so_once_beside_one_that_can(
    text_root: Artifact, text_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.run.why_not_on_gpu", _refused)
    first = [described(one, text_root.manifest.id, variants(one, "cuda")[0]).id for one in (text_root, text_onnx)]
    modules = dict.fromkeys((first[1], first[1] + TWIN), PRETENDED)
    options = Options(threads=1, time_budget_s=0.3, device="cuda", self_check=True)
    board = bench([text_root, text_onnx], options=options, modules=modules)
    assert {standing.candidate.id for standing in board.standings} == {*first, *modules}, "the twin is of what can run"


@pytest.mark.usefixtures("card")
def test_a_whole_run(
    text_root: Artifact, text_int8: Artifact, text_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = tuple(map(Variant.named, ("fp32-eager", "bf16-eager", "fp32-graph")))
    monkeypatch.setattr("bench.run.why_not_on_gpu", lambda _runtime: None)
    for module in ("bench.variants", "bench.candidates"):
        monkeypatch.setattr(f"{module}.ON_CUDA", {**ON_CUDA, "torch": ways})
    root_id = text_root.manifest.id
    modules = {described(text_root, root_id, way).id: "tests.bench.pretended_gpu" for way in ways}
    options = Options(threads=1, time_budget_s=0.3, device="cuda")
    path = tmp_path / "bench-cuda.jsonl"
    board = bench([text_int8, text_root], data=text_data, options=options, results_path=path, modules=modules)

    assert board.conditions.device == "cuda"
    assert board.conditions.gpu == CARD
    rows = {standing.candidate.variant: standing for standing in board.standings}
    assert set(rows) == {"fp32-eager", "bf16-eager", "fp32-graph", "fp32-cuda"}
    assert "INT8 made for CPUs" in rows["fp32-cuda"].reason
    assert "DynamicQuantizeLinear" in rows["fp32-cuda"].reason
    assert rows["fp32-graph"].verdict == "failed"
    for variant in ("fp32-eager", "bf16-eager"):
        standing = rows[variant]
        assert standing.p50_ns is not None
        assert standing.p50_ns > 0
        assert standing.peak_gpu_bytes == HELD_BYTES
        assert standing.label_agreement is not None
        assert standing.label_agreement > 0.9
    assert rows["fp32-eager"].ratio_to_root is not None

    (run,) = read_results(path)
    assert rank(run) == board
    opened = {m.candidate.variant: m.opening.session for m in run.measurements if m.opening is not None}
    assert (opened["fp32-eager"]["dtype"], opened["bf16-eager"]["dtype"]) == ("float32", "bfloat16")

    written = io.StringIO()
    report.show(board, tmp_path, Console(file=written, width=200))
    assert "GPU" in written.getvalue()
    assert f"{HELD_BYTES / 1e6:.0f}" in written.getvalue()
    assert "NVIDIA X, 8192 MiB, driver 1.2" in written.getvalue()
    assert "ftc package" not in written.getvalue()
    assert json.loads(report.to_json(board))["conditions"]["gpu"]["name"] == "NVIDIA X"
    with pytest.raises(InputError, match="no run that was measured to its end"):
        latest_winner(renamed(path, tmp_path / "artifacts"))


def renamed(path: Path, artifacts: Path) -> Path:
    """A directory whose results are those of a run on a GPU."""
    artifacts.mkdir()
    (artifacts / "bench.jsonl").write_bytes(path.read_bytes())
    return artifacts


def test_a_run_on_the_cpu_has_no_columns_of_a_gpu() -> None:
    board = rank(made.run(made.measurement("torch", 1000), made.measurement("onnx", 500)))
    written = io.StringIO()
    report.show(board, Path("artifacts"), Console(file=written, width=200))
    assert "GPU" not in written.getvalue()
    assert "power" not in written.getvalue()
    powered = replace(made.measurement("onnx", 500), peak_gpu_bytes=5_000_000, power_w=312.4)
    report.show(rank(made.run(powered)), Path("artifacts"), Console(file=written, width=200))
    assert "312" in written.getvalue()


def test_unlike_gpus_and_drivers_are_not_compared() -> None:
    first = replace(made.CONDITIONS, device="cuda", gpu=CARD)
    assert not alike.differences(first, first)
    for other in (replace(CARD, name="NVIDIA Y"), replace(CARD, driver="1.3"), None):
        (difference,) = alike.differences(first, replace(first, gpu=other))
        assert difference.startswith("GPU: NVIDIA X, 8192 MiB, driver 1.2 then,")


def test_what_is_known_of_the_gpu_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "bench-cuda.jsonl"
    known = replace(made.candidate("torch"), variant="fp16-graph")
    conditions = replace(made.CONDITIONS, device="cuda", gpu=CARD)
    append(RunBegun("1", "now", "id-of-torch", "accuracy", 1.0, conditions, (known,)), path)
    for turn in made.turns(1000):
        append(TurnTaken("1", known.id, turn), path)
    append(Closed("1", known.id, 10, peak_gpu_bytes=20, power_w=30.5), path)
    append(Ended("1"), path)
    (run,) = read_results(path)
    assert run.conditions.gpu == CARD
    (measurement,) = run.measurements
    assert measurement.candidate == known
    assert (measurement.peak_rss_bytes, measurement.peak_gpu_bytes, measurement.power_w) == (10, 20, 30.5)


def test_a_worker_on_the_cpu_keeps_the_hosts_clock(text_onnx: Artifact) -> None:
    import time

    assert watched(Session(), "cpu") == (time.perf_counter_ns, None)  # type: ignore[arg-type]
    assert not isinstance(Session(), OnDevice)
    with Worker(text_onnx, 1, "cpu") as worker:
        worker.open()
        used = worker.usage()
    assert used == Usage(used.peak_rss_bytes)


def test_moments_are_events() -> None:
    clock = EventClock(Moment)
    assert 0 <= clock() <= clock()
