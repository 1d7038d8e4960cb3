"""A candidate's process: how it is asked, held, stopped, and how it ends."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench import wire
from bench.cores import choose
from bench.remote import Worker, WorkerError
from bench.run import Options, bench
from bench.trial import Trial
from ftc.artifact import Artifact

QUICK = Options(threads=1, time_budget_s=0.3)


def workers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "bench.worker" in " ".join(p.cmdline())]


def test_a_worker_that_is_killed_says_how_it_ended_and_leaves_nothing(text_onnx: Artifact) -> None:
    with Worker(text_onnx, 1, "cpu") as worker:
        worker.open()
        assert worker.process is not None
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        with pytest.raises(WorkerError, match=r"killed by signal 9 .* at 'usage'"):
            worker.usage()
    assert not workers()


def test_one_whose_process_cannot_be_started_is_a_failed_candidate(
    text_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("subprocess.Popen", refused)
    with (
        Worker(text_onnx, 1, "cpu") as worker,
        pytest.raises(WorkerError, match="could not be started: Cannot allocate memory"),
    ):
        worker.open()


def wait_until_stopped(process: psutil.Process) -> None:
    deadline = time.monotonic() + 10
    while process.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline, process.status()
        time.sleep(0.01)


def test_what_is_not_asked_stands_still(text_onnx: Artifact) -> None:
    with Worker(text_onnx, 2, "cpu") as worker:
        worker.open()
        worker.prepare(["a text"], [[[0]]])
        for _ in range(2):
            worker.turn([[0] * 100])
            assert worker.process is not None
            wait_until_stopped(psutil.Process(worker.process.pid))


def test_a_stopped_process_whose_parent_is_killed_ends(text_onnx: Artifact, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from bench.remote import Worker\n"
        "from ftc.artifact import open_artifact\n"
        f"with Worker(open_artifact(Path({str(text_onnx.path)!r})), 1, 'cpu') as worker:\n"
        "    worker.open()\n"
        "    worker.usage()\n"
        "    print(worker.process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = psutil.Process(int(process.stdout.readline()))
    wait_until_stopped(worker)
    process.kill()
    process.communicate()
    worker.wait(timeout=20)


def test_one_that_ends_with_an_exception_is_let_end(text_onnx: Artifact, text_int8: Artifact) -> None:
    modules = {text_int8.manifest.id: "tests.bench.raises_at_a_turn"}
    board = bench([text_onnx, text_int8], options=QUICK, modules=modules)
    assert "ended with exit code 1 at 'turn': ValueError: nothing of ours" in board.standings[-1].reason
    assert board.winner is not None


def test_a_candidate_that_hangs_becomes_a_failed_row(
    text_onnx: Artifact, text_int8: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Trial.open

    def never_woken_once_open(self: Trial, *args: object) -> None:
        opened(self, *args)  # type: ignore[arg-type]
        if self.candidate.id == text_int8.manifest.id:
            assert self.worker.process is not None
            send = self.worker.process.send_signal
            monkeypatch.setattr(
                self.worker.process, "send_signal", lambda number: None if number == signal.SIGCONT else send(number)
            )
            self.worker.limit_s = 1

    monkeypatch.setattr(Trial, "open", never_woken_once_open)
    board = bench([text_onnx, text_int8], options=QUICK)
    assert board.standings[-1].candidate.id == text_int8.manifest.id
    assert "gave no answer within 1 s at 'turn'" in board.standings[-1].reason
    assert board.winner is not None
    assert not workers()


def test_workers_are_held_to_the_cores_that_are_recorded(text_onnx: Artifact) -> None:
    cores = choose(1)
    assert cores is not None
    with Worker(text_onnx, 1, "cpu", cores=cores) as worker:
        worker.open()
        assert worker.process is not None
        tasks = [int(path.name) for path in Path(f"/proc/{worker.process.pid}/task").iterdir()]
        assert {tuple(os.sched_getaffinity(task)) for task in tasks} == {cores}
    assert len(os.sched_getaffinity(0)) >= len(cores), "the parent is as free as before"


def test_what_answers_slowly_has_longer_for_many_rows_and_waiting_for_queries_does_not_count(
    text_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits_s: list[float] = []

    class Watch:
        daemon = False

        def __init__(self, limit_s: float, *_: object) -> None:
            limits_s.append(limit_s)

        start = cancel = lambda self: None

    monkeypatch.setattr(threading, "Timer", Watch)
    with Worker(text_onnx, 1, "cpu", limit_s=1.0) as worker:
        worker.open()
        worker.first_call("a text")
        worker._row_s = 2.0
        worker.prepare(["one", "two", "three"], [[[0], [1]], [[0, 1, 2]]])
        worker.turn([[0, 1, 1], [0]])
        worker._row_s = 0.0
        worker.turn([[0, 1], []], [0, 50_000_000])
    assert limits_s == [1.0, 1.0, pytest.approx(3 * 2.0), pytest.approx(3 * 2.0 * 6), pytest.approx(1.05)]


def test_a_script_without_a_main_guard_works_and_an_interrupt_leaves_no_process(
    text_onnx: Artifact, tmp_path: Path
) -> None:
    (tmp_path / "bench.py").write_text("raise SystemExit('the wrong bench')\n")
    script = tmp_path / "notebook" / "script.py"
    script.parent.mkdir()
    script.write_text(
        "from pathlib import Path\n"
        "from bench.candidates import select\n"
        "from bench.run import Options, bench\n"
        f"candidates = select([Path({str(text_onnx.path)!r})], Path('none'))\n"
        "print('begun', flush=True)\n"
        "bench(candidates, options=Options(threads=1, time_budget_s=600, batch_size=4096))\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    children: list[psutil.Process] = []
    deadline = time.monotonic() + 60
    while not children and time.monotonic() < deadline and process.poll() is None:
        children = psutil.Process(process.pid).children()
        time.sleep(0.05)
    assert children, process.communicate()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert gone
    assert not alive


def test_examples_travel_through_the_pipe_unchanged() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    examples = ["a", ("b", "c"), image, "ä\u2028"]
    texts, images = wire.packed(examples)
    stream = io.BytesIO()
    wire.send(stream, {"examples": texts}, images)
    stream.seek(0)
    received = wire.receive(stream)
    assert received is not None
    back = wire.unpacked(received[0]["examples"], received[1])
    assert back[:2] == examples[:2]
    assert back[3] == examples[3]
    np.testing.assert_array_equal(back[2], image)
    stream.seek(0)
    assert wire.receive(io.BytesIO(stream.read()[:-1])) is None, "the other side died while writing"
