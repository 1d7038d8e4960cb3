"""Dropout is taken out of a student wherever an architecture keeps it, and stays in its configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from compress.training.parameters import drop_nothing
from ftc.checkpoint import load
from tests.conftest import save_image_checkpoint, save_text_checkpoint

LARGE = {
    "Bert": {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5},
    "Electra": {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5},
    "DistilBert": {"dropout": 0.5, "attention_dropout": 0.5},
}


@pytest.mark.parametrize("architecture", [*LARGE, "ViT"])
def test_a_student_without_dropout_answers_the_same_again(architecture: str, tmp_path: Path) -> None:
    if architecture == "ViT":
        model = load(save_image_checkpoint(tmp_path / "tiny", architecture="ViT"))
        inputs = {"pixel_values": torch.rand(2, 3, 32, 32)}
    else:
        model = load(save_text_checkpoint(tmp_path / "tiny", architecture=architecture, **LARGE[architecture]))
        inputs = {"input_ids": torch.randint(5, 40, (2, 9)), "attention_mask": torch.ones(2, 9, dtype=torch.long)}
    before = model.config.to_dict()
    drop_nothing(model)
    model.train()
    with torch.no_grad():
        first, second = (model(**inputs).logits for _ in range(2))
        model.eval()
        judged = model(**inputs).logits
    assert torch.equal(first, second)
    torch.testing.assert_close(first, judged)
    assert model.config.to_dict() == before
