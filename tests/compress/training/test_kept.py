"""A killed training comes to the end that it would have come to, and several processes train what one would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import transformers

from compress.training import kept
from compress.training.schedule import Schedule
from ftc.data import Dataset
from ftc.errors import InputError
from ftc.manifest import CurvePoint
from tests import forked
from tests.compress.training.conftest import trainable
from tests.conftest import save_text_checkpoint


def test_a_second_run_of_the_same_training_is_refused(tmp_path: Path) -> None:
    with (
        kept.claimed(tmp_path / "place"),
        pytest.raises(InputError, match="running already"),
        kept.claimed(tmp_path / "place"),
    ):
        pass


def test_a_state_that_was_being_written_is_not_gone_on_from(tmp_path: Path) -> None:
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-5" / "course.json").write_text('{"points": [], "spent_s": 3.5, "losses": []}')
    state = kept.last_state(tmp_path)
    assert (state.step, state.course.spent_s) == (5, 3.5)
    assert not (tmp_path / "checkpoint-10").exists()


def test_the_best_weights_of_a_state_outlive_better_ones_without_a_state(text_checkpoint: Path, tmp_path: Path) -> None:
    model = trainable(text_checkpoint, Schedule())
    weight = model.classifier.weight
    place = tmp_path / "place"

    def keep(step: int, saved: int | None) -> None:
        with torch.no_grad():
            weight.fill_(step)
        kept.keep_best(place, model, step, saved)

    def state(step: int, best: int) -> None:
        kept.state_path(place, step).mkdir(parents=True)
        points = (CurvePoint(0, 0.0, None, 0.1), CurvePoint(best, 1.0, 0.5, 0.9))
        kept.complete(place, step, kept.Course(points, 1.0))

    place.mkdir()
    keep(3, None)
    state(5, best=3)
    keep(7, 3)
    keep(9, 3)
    found = kept.last_state(place)
    assert found.course.best.step == 3
    kept.restore_best(place, model, 3)
    assert torch.equal(weight, torch.full_like(weight, 3)), "a run that is killed now goes on from these"
    assert sorted(path.name for path in place.glob("best-*")) == ["best-3.safetensors", "best-9.safetensors"]
    state(10, best=9)
    assert [path.name for path in place.glob("best-*")] == ["best-9.safetensors"]


def test_a_state_of_another_number_of_processes_is_not_gone_on_from(tmp_path: Path) -> None:
    state = kept.State(tmp_path / "checkpoint-5", kept.Course((), 1.0, processes=2, step_rows=64))
    kept.check_alike(state, 2, 64)
    with pytest.raises(InputError, match=r"2 processes with 64 rows.*one by 1 with 32.*as many"):
        kept.check_alike(state, 1, 32)


_TRAINING = """
import sys
from pathlib import Path
from compress.training import pace
pace._SAVED_EVERY_S = 0.0
pace._SAVING_SHARE = 1e9
from ftc.cli import main
main(sys.argv[1:])
"""


def _killed(arguments: list[str], place: Path, *, after_states: int) -> int:
    """Run the command line, and kill it hard once so many states are on disk; the process's exit code."""
    process = subprocess.Popen([sys.executable, "-c", _TRAINING, *arguments], stderr=subprocess.DEVNULL)
    seen: set[str] = set()
    while process.poll() is None:
        seen |= {path.parent.name for path in place.glob(".ftc-training-*/checkpoint-*/course.json")}
        if len(seen) >= after_states:
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.01)
    return process.wait()


def test_a_killed_run_ends_where_an_unkilled_one_ends(text_checkpoint: Path, data: Dataset, tmp_path: Path) -> None:
    teacher = save_text_checkpoint(tmp_path / "teacher", seed=5)
    options = ["--teacher", str(teacher), "--data", data.source, "--epochs", "1", "--batch-size", "4"]
    options += ["--learning-rate", "1e-3", "--evaluations", "4", "--gradual"]

    def command(artifacts: str) -> list[str]:
        return ["distill", str(text_checkpoint), *options, "--artifacts", str(tmp_path / artifacts)]

    assert forked.ftc(command("whole")).returncode == 0
    assert _killed(command("killed"), tmp_path / "killed", after_states=3) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "tiny-bert-distilled").exists()
    assert _killed(command("killed"), tmp_path / "killed", after_states=6) == -signal.SIGKILL
    assert forked.ftc(command("killed")).returncode == 0
    made = [tmp_path / place / "tiny-bert-distilled" for place in ("whole", "killed")]
    assert made[0].joinpath("model.safetensors").read_bytes() == made[1].joinpath("model.safetensors").read_bytes()
    curves = [json.loads((path / "ftc.json").read_text())["training"]["curve"] for path in made]
    assert curves[0] == curves[1]
    assert not list((tmp_path / "killed").glob(".ftc-training-*")), "what was kept for going on is gone"


def test_a_killed_fine_tuning_draws_the_same_parts_again(text_checkpoint: Path, data: Dataset, tmp_path: Path) -> None:
    base = shutil.copytree(text_checkpoint, tmp_path / "base", ignore=shutil.ignore_patterns("model.safetensors"))
    transformers.BertForMaskedLM.from_pretrained(text_checkpoint).save_pretrained(base)  # without a pooler
    options = ["--data", data.source, "--lora", "4", "--epochs", "4", "--batch-size", "4", "--evaluations", "4"]

    def command(place: str) -> list[str]:
        return ["finetune", str(base), *options, "-o", str(tmp_path / place / "made")]

    assert forked.ftc(command("whole")).returncode == 0
    assert _killed(command("killed"), tmp_path / "killed", after_states=3) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "made").exists()
    ended = forked.ftc(command("killed"))
    assert ended.returncode == 0
    assert "going on from step" in ended.stderr
    made = [(tmp_path / place / "made" / "model.safetensors").read_bytes() for place in ("whole", "killed")]
    assert made[0] == made[1]
    assert not list((tmp_path / "killed").glob(".ftc-training-*"))


def test_two_processes_train_what_one_would(text_checkpoint: Path, data: Dataset, tmp_path: Path) -> None:
    teacher = save_text_checkpoint(tmp_path / "teacher", seed=5)
    command = ["ftc", "distill", str(text_checkpoint), "--teacher", str(teacher), "--data", data.source, "--json"]
    command += ["--epochs", "8", "--batch-size", "4", "--learning-rate", "2e-3", "--augment", "0"]
    command += ["--artifacts", str(tmp_path / "made")]
    launched = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *command]
    told = subprocess.run(launched, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    made = json.loads(told.stdout)  # one process alone tells
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["tiny-bert-distilled"]
    curve = made["training"]["curve"]
    assert curve[-1]["step"] == 40, "36 rows, in steps of 4 in each of two processes"
    assert curve[-1]["loss"] < curve[1]["loss"]


_BREAKING = """
import os, sys
from itertools import count
from compress.training import engine, objectives
calls, scores, whole = count(), count(), objectives.Distillation.__call__
def breaks(self, model, batch):
    broken = os.environ["RANK"] == "1" and next(calls) >= 12
    return whole(self, model, batch) * (float("nan") if broken else 1.0)
objectives.Distillation.__call__ = breaks
engine._Engine.score = lambda self, rows: next(scores) / 100
from ftc.cli import main
main(sys.argv[1:])
"""


def test_a_loss_that_is_no_number_in_one_process_ends_all_of_them(
    text_checkpoint: Path, data: Dataset, tmp_path: Path
) -> None:
    teacher = save_text_checkpoint(tmp_path / "teacher", seed=5)
    script = tmp_path / "breaking.py"
    script.write_text(_BREAKING)
    command = [str(script), "distill", str(text_checkpoint), "--teacher", str(teacher), "--data", data.source, "--json"]
    command += ["--epochs", "4", "--batch-size", "4", "--evaluations", "4", "--augment", "0"]
    command += ["--artifacts", str(tmp_path / "made")]
    launched = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    told = subprocess.run(launched, capture_output=True, text=True, check=False, timeout=240)
    assert told.returncode == 0, told.stderr
    training = json.loads(told.stdout)["training"]
    assert training["ended"] == "the loss became NaN or infinite at step 13"
    assert training["kept_step"] == 10, "the best weights before that, those of the first process in both"
