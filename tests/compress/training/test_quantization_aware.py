"""Learning with 8-bit numbers, in weights that stay float."""

from __future__ import annotations

from pathlib import Path

import torch

from compress.training.engine import fit
from compress.training.objectives import Labels
from compress.training.quantization_aware import fake_quantized
from compress.training.rows import Batch, Rows
from compress.training.schedule import Schedule
from ftc.checkpoint import load
from tests.compress.training.conftest import trainable
from tests.conftest import save_text_checkpoint


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
