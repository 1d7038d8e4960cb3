"""The training engine: what it learns, what it keeps, when it ends, and that a killed run comes to the same end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.choices import Decay, TrainingPrecision
from compress.training import engine, kept
from compress.training.engine import fit
from compress.training.objectives import Distance, Distillation, Labels, hidden_loss, soft_cross_entropy
from compress.training.pace import Pace
from compress.training.parameters import Depths, choose, groups, unfreeze
from compress.training.quantization_aware import fake_quantized
from compress.training.relations import Watched, relation_loss
from compress.training.rows import Batch, Rows, SimilarLengths, held_out
from compress.training.schedule import Schedule
from ftc.checkpoint import load, open_any
from ftc.data import Dataset
from ftc.data import load as load_data
from ftc.errors import InputError, RunError
from ftc.tasks.task import open_task
from tests.conftest import TEXT_LABELS, WORDS, save_text_checkpoint

ALIKE = Distance(temperature=2.0, alpha=1.0, hidden_weight=1.0, relation_weight=1.0)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Forty texts whose first word says their label."""
    path = tmp_path / "rows.tsv"
    random = np.random.default_rng(0)
    lines = []
    for row in range(40):
        others = " ".join(random.choice(WORDS, 2 + row % 9))
        lines.append(f"{('bad', 'charming')[row % 2]} {others}\t{row % 2}")
    path.write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    return load_data(str(path), modality="text", classes=TEXT_LABELS, need_labels=True)


@pytest.fixture
def rows(text_checkpoint: Path, data: Dataset) -> Rows:
    return Rows(data, open_task(open_any(text_checkpoint)), data.labels)


def trainable(checkpoint: Path, schedule: Schedule) -> torch.nn.Module:
    model = load(checkpoint)
    choose(model, schedule)
    return model


def test_training_learns_and_leaves_the_best_weights(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    schedule = Schedule(epochs=20, learning_rate=2e-3, batch_size=8, evaluations=5)
    model = trainable(text_checkpoint, schedule)
    trained = fit(model, Labels(), rows, rows, schedule, tmp_path, tested=rows)
    curve = trained.course.points
    assert [point.step for point in curve] == [0, 20, 40, 60, 80, 100]
    assert curve[-1].loss < 0.5 * curve[1].loss
    assert max(point.score for point in curve) > max(curve[0].score, 0.8)
    assert trained.test_score == trained.course.best.score, "the network has the weights of its best evaluation"
    assert trained.ended == "the epochs"


def test_the_same_seed_trains_the_same_weights(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    def weights(place: str, seed: int) -> torch.Tensor:
        schedule = Schedule(epochs=2, learning_rate=1e-3, batch_size=8, seed=seed)
        model = trainable(text_checkpoint, schedule)
        fit(model, Labels(), rows, None, schedule, tmp_path / place)
        return model.classifier.weight.detach()

    assert torch.equal(weights("a", 1), weights("b", 1))
    assert not torch.equal(weights("c", 1), weights("d", 2))


def test_a_loss_that_is_no_number_ends_training_with_the_best_weights_so_far(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Breaks(Labels):
        calls = 0

        def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            Breaks.calls += 1
            return super().__call__(model, batch) * (float("nan") if Breaks.calls > 71 else 1.0)

    schedule = Schedule(epochs=20, learning_rate=2e-3, batch_size=8, evaluations=10)
    model = trainable(text_checkpoint, schedule)
    trained = fit(model, Breaks(), rows, rows, schedule, tmp_path, tested=rows)
    assert "step 71" in trained.ended  # one call was the look at the memory
    assert trained.test_score == trained.course.best.score
    assert trained.course.best.step > 0
    assert "caution" in capsys.readouterr().err


def test_a_loss_that_is_no_number_at_once_is_an_error_that_says_the_step(
    text_checkpoint: Path, rows: Rows, tmp_path: Path
) -> None:
    class Breaks(Labels):
        def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            return torch.tensor(float("inf"), requires_grad=True)

    schedule = Schedule(epochs=1, learning_rate=1e-3, batch_size=8)
    model = trainable(text_checkpoint, schedule)
    with pytest.raises(RunError, match=r"step 1\b.*ower the learning rate"):
        fit(model, Breaks(), rows, rows, schedule, tmp_path)


def test_patience_ends_a_training_that_gets_no_better(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    schedule = Schedule(epochs=50, learning_rate=1e-12, batch_size=8, evaluations=50, patience=3)
    model = trainable(text_checkpoint, schedule)
    trained = fit(model, Labels(), rows, rows, schedule, tmp_path)
    assert len(trained.course.points) == 4
    assert trained.ended == "3 evaluations without a better score"


def test_a_time_budget_ends_training_and_lowers_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.s)
    pace = Pace(Schedule(time_budget_s=60), steps_per_epoch=10, spent_s=15)
    pace.tick(1_000_000)
    assert pace.share == 0.25, "what earlier runs took counts, steps do not"
    now.s += 45
    pace.tick(0)
    assert pace.share == 1.0
    both = Pace(Schedule(time_budget_s=60, epochs=2), steps_per_epoch=10, spent_s=0)
    both.tick(10)
    assert both.share == 0.5, "whichever is ahead"


@given(
    st.floats(0, 0.9),
    st.sampled_from(Decay),
    st.lists(st.floats(0, 1), min_size=2, max_size=20).map(sorted),
)
def test_the_rate_rises_once_and_falls_to_nothing(warmup: float, decay: Decay, shares: list[float]) -> None:
    schedule = Schedule(warmup=warmup, decay=decay)
    rates = [schedule.rate(share) for share in shares]
    assert all(0 <= rate <= 1 + 1e-9 for rate in rates)
    falling = [rate for share, rate in zip(shares, rates, strict=True) if share >= warmup]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(falling))
    assert schedule.rate(1.0) == pytest.approx(0.0, abs=1e-12)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=50)
def test_each_row_once_in_each_epoch(lengths: list[int], batch_size: int, seed: int, epoch: int) -> None:
    sampler = SimilarLengths(np.array(lengths), batch_size, seed)
    sampler.epoch = epoch
    order = list(sampler)
    assert sorted(order) == list(range(len(lengths)))
    assert order == list(sampler), "the order is the epoch's, whenever it is asked for"


def test_batches_hold_rows_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 2000)
    order = np.array(list(SimilarLengths(lengths, 10, 0)))
    grouped = lengths[order].reshape(-1, 10)
    shuffled = np.random.default_rng(1).permutation(lengths).reshape(-1, 10)
    assert (grouped.max(1) - grouped.min(1)).mean() < 0.1 * (shuffled.max(1) - shuffled.min(1)).mean()


def test_frozen_layers_stay_as_they_were(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    schedule = Schedule(epochs=1, learning_rate=1e-2, batch_size=8, train_layers=1)
    model = trainable(text_checkpoint, schedule)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, Labels(), rows, None, schedule, tmp_path)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("bert.encoder.layer.1.") for name in changed)
    assert "classifier.weight" in changed
    assert not any(name.startswith(("bert.embeddings.", "bert.encoder.layer.0.")) for name in changed)


def test_more_layers_than_there_are_is_an_error(text_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="has 2 layers"):
        trainable(text_checkpoint, Schedule(train_layers=3))


def test_gradual_unfreezing_goes_from_the_answer_to_the_input(text_checkpoint: Path) -> None:
    model = load(text_checkpoint)
    depths = Depths.of(model)

    def trained(share: float) -> set[str]:
        unfreeze(model, depths, share)
        return {name.split(".layer.")[-1].split(".")[0] for name, p in model.named_parameters() if p.requires_grad}

    assert trained(0.0) == {"bert", "classifier"}  # the pooler and the classifier
    assert not any(p.requires_grad for p in model.bert.encoder.parameters())
    assert "1" in trained(0.2)
    assert "0" not in trained(0.2)
    assert all(p.requires_grad for p in model.parameters()) if trained(0.5) else False


def test_layers_nearer_the_input_learn_more_slowly(text_checkpoint: Path) -> None:
    schedule = Schedule(learning_rate=1e-3, layer_decay=0.5, weight_decay=0.1)
    model = trainable(text_checkpoint, schedule)
    rates = {}
    for group in groups(model, Depths.of(model), schedule):
        for parameter in group["params"]:
            rates[id(parameter)] = group["lr"], group["weight_decay"]
    assert rates[id(model.classifier.weight)] == (1e-3, 0.1)
    assert rates[id(model.classifier.bias)] == (1e-3, 0.0)
    assert rates[id(model.bert.encoder.layer[1].output.dense.weight)] == (5e-4, 0.1)
    assert rates[id(model.bert.encoder.layer[0].output.LayerNorm.weight)] == (2.5e-4, 0.0)
    assert rates[id(model.bert.embeddings.word_embeddings.weight)] == (1.25e-4, 0.1)
    assert len(rates) == len(list(model.parameters()))


def test_accumulated_gradients_are_those_of_one_large_batch(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    def weights(place: str, batch_size: int, accumulation: int) -> torch.Tensor:
        schedule = Schedule(epochs=1, learning_rate=1e-3, batch_size=batch_size, accumulation=accumulation)
        model = trainable(text_checkpoint, schedule)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        fit(model, Labels(), rows, None, schedule, tmp_path / place)
        return model.classifier.weight.detach()

    torch.testing.assert_close(weights("one", 8, 1), weights("two", 4, 2), rtol=0, atol=2e-4)


def test_a_batch_too_large_is_halved_and_taken_twice_as_often(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Large(Labels):
        def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            if len(batch.rows) > 4:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
            return super().__call__(model, batch)

    schedule = Schedule(epochs=1, batch_size=16)
    trained = fit(trainable(text_checkpoint, schedule), Large(), rows, rows, schedule, tmp_path)
    assert trained.course.points[-1].step == 3, "40 rows in steps of 16, as was asked for"
    assert "4 are taken at once" in capsys.readouterr().err


def test_what_does_not_fit_at_all_says_what_helps(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    class Larger(Labels):
        def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    schedule = Schedule(epochs=1)
    with pytest.raises(RunError, match="--gradient-checkpointing"):
        fit(trainable(text_checkpoint, schedule), Larger(), rows, None, schedule, tmp_path)


@pytest.mark.parametrize("option", [{"precision": TrainingPrecision.BFLOAT16}, {"gradient_checkpointing": True}])
def test_other_ways_of_computing_learn_too(
    text_checkpoint: Path, rows: Rows, tmp_path: Path, option: dict[str, object]
) -> None:
    schedule = Schedule(epochs=10, learning_rate=2e-3, batch_size=8, evaluations=2, **option)
    trained = fit(trainable(text_checkpoint, schedule), Labels(), rows, rows, schedule, tmp_path)
    assert trained.course.points[-1].loss < trained.course.points[1].loss


def test_a_student_that_is_its_teacher_has_nothing_to_learn(text_checkpoint: Path, rows: Rows) -> None:
    student, teacher = load(text_checkpoint), load(text_checkpoint)
    objective = Distillation(student, teacher, ALIKE, len(rows))
    assert float(objective(student, Batch.of(rows.tensors(range(8))))) == pytest.approx(0.0, abs=1e-5)


def test_a_teacher_that_is_compared_by_its_answers_alone_is_asked_once(
    text_checkpoint: Path, rows: Rows, tmp_path: Path
) -> None:
    student, teacher = load(text_checkpoint), load(save_text_checkpoint(tmp_path / "teacher", seed=3))
    objective = Distillation(student, teacher, Distance(2.0, 0.5, 0.0, 0.0), len(rows))
    asked: list[int] = []
    teacher.register_forward_hook(lambda *_: asked.append(1))
    batch = Batch.of(rows.tensors([3, 1, 2]))
    first = float(objective(student, batch))
    assert float(objective(student, batch)) == pytest.approx(first, abs=1e-6)
    assert float(objective(student, Batch.of(rows.tensors([1, 2, 3])))) == pytest.approx(first, abs=1e-6)
    assert len(asked) == 1
    objective.save(tmp_path)
    again = Distillation(student, teacher, Distance(2.0, 0.5, 0.0, 0.0), len(rows))
    again.restore(tmp_path)
    assert float(again(student, batch)) == pytest.approx(first, abs=1e-6)
    assert len(asked) == 1


def test_padding_changes_no_loss(text_checkpoint: Path, tmp_path: Path, rows: Rows) -> None:
    student = load(text_checkpoint)
    teacher = load(save_text_checkpoint(tmp_path / "teacher", seed=3))
    batch = Batch.of(rows.tensors([0])).inputs
    padded = {name: torch.nn.functional.pad(values, (0, 5)) for name, values in batch.items()}
    watched = Watched(student), Watched(teacher)

    def losses(inputs: dict[str, torch.Tensor]) -> list[float]:
        ours, theirs = (model(**inputs, output_hidden_states=True) for model in (student, teacher))
        mask = inputs["attention_mask"]
        between = hidden_loss(ours.hidden_states, theirs.hidden_states, mask)
        return [float(between), float(relation_loss(*watched, mask))]

    alone = losses(batch)
    assert all(loss > 0.01 for loss in alone)
    assert losses(padded) == pytest.approx(alone, rel=1e-3)


@given(st.floats(0.5, 8), st.integers(0, 100))
@settings(max_examples=30)
def test_soft_answers_differ_by_nothing_only_if_equal(temperature: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    ours, theirs = torch.randn(4, 3, generator=random), torch.randn(4, 3, generator=random)
    assert float(soft_cross_entropy(theirs, theirs, temperature)) == pytest.approx(0.0, abs=1e-4)
    assert float(soft_cross_entropy(ours, theirs, temperature)) > 0


def test_fake_quantization_moves_answers_a_little_and_leaves_nothing_behind(rows: Rows, tmp_path: Path) -> None:
    model = load(save_text_checkpoint(tmp_path / "exact", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    batch = Batch.of(rows.tensors(range(8))).inputs
    names, before = set(model.state_dict()), model(**batch).logits
    with fake_quantized(model):
        assert torch.equal(model(**batch).logits, before), "what is judged are the weights that are kept"
        during = model.train()(**batch).logits
    model.eval()
    assert 1e-5 < float((during - before).abs().max()) < 0.5 * float(before.abs().max())
    assert set(model.state_dict()) == names
    assert torch.equal(model(**batch).logits, before)


def test_quantization_aware_training_learns_weights_in_float(text_checkpoint: Path, rows: Rows, tmp_path: Path) -> None:
    schedule = Schedule(epochs=10, learning_rate=2e-3, batch_size=8, evaluations=2, quantization_aware=True)
    model = trainable(text_checkpoint, schedule)
    trained = fit(model, Labels(), rows, rows, schedule, tmp_path, tested=rows)
    assert trained.course.points[-1].loss < trained.course.points[1].loss
    weight = model.bert.encoder.layer[0].output.dense.weight
    assert len(torch.unique(weight[0])) > 60, "not the few values that 8 bits have"


def test_rows_are_held_out_once(data: Dataset) -> None:
    training, judged = held_out(data, 0.25, seed=0)
    assert (len(training), len(judged)) == (30, 10)
    assert held_out(data, 0.0, seed=0) == (data, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"time_budget_s": float("inf")}, "--time-budget inf"),
        ({"learning_rate": -1.0}, "--learning-rate -1"),
        ({"held_out": 1.0}, "--held-out 1"),
        ({"gradual": True, "train_layers": 1}, "choose one"),
        ({"weight_decay": float("nan")}, "--weight-decay nan"),
    ],
)
def test_schedules_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Schedule(**options)


def test_a_second_run_of_the_same_training_is_refused(tmp_path: Path) -> None:
    with (
        kept.claimed(tmp_path / "place"),
        pytest.raises(InputError, match="running already"),
        kept.claimed(tmp_path / "place"),
    ):
        pass


_TRAINING = """
import sys
from pathlib import Path
from compress.training import pace
pace._SAVED_EVERY_S = 0.0
pace._SAVING_SHARE = 1e9
from ftc.cli import main
main(sys.argv[1:])
"""


def _distilled(arguments: list[str], *, killed_after_states: int = 0) -> int:
    """Run the command line, and kill it hard once so many states are on disk; the process's exit code."""
    process = subprocess.Popen([sys.executable, "-c", _TRAINING, *arguments], stderr=subprocess.DEVNULL)
    artifacts = Path(arguments[arguments.index("--artifacts") + 1])
    seen: set[str] = set()
    while killed_after_states and process.poll() is None:
        seen |= {path.parent.name for path in artifacts.glob(".ftc-training-*/checkpoint-*/course.json")}
        if len(seen) >= killed_after_states:
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.01)
    return process.wait()


def test_a_killed_run_ends_where_an_unkilled_one_ends(text_checkpoint: Path, data: Dataset, tmp_path: Path) -> None:
    teacher = save_text_checkpoint(tmp_path / "teacher", seed=5)
    options = ["--teacher", str(teacher), "--data", data.source, "--epochs", "4", "--batch-size", "4"]
    options += ["--learning-rate", "1e-3", "--evaluations", "4", "--gradual"]

    def run(artifacts: str, killed_after_states: int = 0) -> int:
        command = ["distill", str(text_checkpoint), *options, "--artifacts", str(tmp_path / artifacts)]
        return _distilled(command, killed_after_states=killed_after_states)

    assert run("whole") == 0
    assert run("killed", killed_after_states=3) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "tiny-bert-distilled").exists()
    assert run("killed", killed_after_states=6) == -signal.SIGKILL
    assert run("killed") == 0
    made = [tmp_path / place / "tiny-bert-distilled" for place in ("whole", "killed")]
    assert made[0].joinpath("model.safetensors").read_bytes() == made[1].joinpath("model.safetensors").read_bytes()
    curves = [json.loads((path / "ftc.json").read_text())["training"]["curve"] for path in made]
    assert curves[0] == curves[1]
    assert not list((tmp_path / "killed").glob(".ftc-training-*")), "what was kept for going on is gone"


def test_two_processes_train_what_one_would(text_checkpoint: Path, data: Dataset, tmp_path: Path) -> None:
    teacher = save_text_checkpoint(tmp_path / "teacher", seed=5)
    command = ["ftc", "distill", str(text_checkpoint), "--teacher", str(teacher), "--data", data.source, "--json"]
    command += ["--epochs", "8", "--batch-size", "4", "--learning-rate", "2e-3", "--artifacts", str(tmp_path / "made")]
    launched = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *command]
    told = subprocess.run(launched, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    made = json.loads(told.stdout)  # one process alone tells
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["tiny-bert-distilled"]
    curve = made["training"]["curve"]
    assert curve[-1]["step"] == 40, "36 rows, in steps of 4 in each of two processes"
    assert curve[-1]["loss"] < curve[1]["loss"]


def test_a_state_that_was_being_written_is_not_gone_on_from(tmp_path: Path) -> None:
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-5" / "course.json").write_text('{"points": [], "spent_s": 3.5, "losses": []}')
    state = kept.last_state(tmp_path)
    assert (state.step, state.course.spent_s) == (5, 3.5)
    assert not (tmp_path / "checkpoint-10").exists()


def test_the_engine_names_no_secrets_and_reports_nowhere(tmp_path: Path) -> None:
    arguments = engine._arguments(Schedule(), tmp_path)
    assert arguments.report_to == []
    assert not arguments.push_to_hub
