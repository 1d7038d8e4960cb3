"""Which layers learn, when, and how fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from compress.training.engine import fit
from compress.training.objectives import Labels
from compress.training.parameters import Depths, choose, groups, unfreeze
from compress.training.rows import Rows
from compress.training.schedule import Schedule
from ftc.checkpoint import load
from ftc.errors import InputError
from tests.compress.training.conftest import trainable


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


def test_networks_that_cannot_compute_activations_again(image_checkpoint: Path) -> None:
    with pytest.raises(InputError, match=r"--gradient-checkpointing: a ResNet\w+ cannot"):
        trainable(image_checkpoint, Schedule(gradient_checkpointing=True))


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


def test_what_every_layer_takes_in_counts_as_before_them() -> None:
    config = transformers.DebertaV2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        vocab_size=30,
        relative_attention=True,
        position_buckets=4,
        norm_rel_ebd="layer_norm",
        pos_att_type=["p2c"],
    )
    model = transformers.DebertaV2ForSequenceClassification(config)
    before, *_, after = Depths.of(model).levels
    assert {name for name in before if ".encoder." in name} == {
        "deberta.encoder.rel_embeddings.weight",
        "deberta.encoder.LayerNorm.weight",
        "deberta.encoder.LayerNorm.bias",
    }
    assert {name.split(".")[0] for name in after} == {"pooler", "classifier"}


@pytest.mark.parametrize("option", [{"train_layers": 0}, {"gradual": True}, {"layer_decay": 0.5}, {"head_rate": 10}])
def test_a_network_without_layers_and_head_is_trained_as_a_whole(option: dict[str, Any]) -> None:
    class Whole(transformers.ResNetForImageClassification):
        base_model_prefix = "elsewhere"

    model = Whole(transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic"))
    model.resnet.encoder.stages = torch.nn.Sequential(*model.resnet.encoder.stages)
    with pytest.raises(InputError, match=f"--{next(iter(option)).replace('_', '-')}.*Leave it out"):
        choose(model, Schedule(**option))


def rates_of(model: torch.nn.Module, schedule: Schedule) -> dict[int, tuple[float, float]]:
    """Learning rate and weight decay by the weight's id."""
    return {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in groups(model, Depths.of(model), schedule)
        for parameter in group["params"]
    }


@pytest.mark.parametrize("images", [False, True])
def test_the_head_alone_learns_at_its_own_rate(text_checkpoint: Path, image_checkpoint: Path, images: bool) -> None:
    schedule = Schedule(learning_rate=1e-3, head_rate=10)
    model = trainable(image_checkpoint if images else text_checkpoint, schedule)
    rates = {name: rates_of(model, schedule)[id(weight)][0] for name, weight in model.named_parameters()}
    assert {rate for name, rate in rates.items() if name.startswith("classifier.")} == {1e-2}
    assert {rate for name, rate in rates.items() if not name.startswith("classifier.")} == {1e-3}


def test_layers_nearer_the_input_learn_more_slowly(text_checkpoint: Path) -> None:
    schedule = Schedule(learning_rate=1e-3, layer_decay=0.5, weight_decay=0.1)
    model = trainable(text_checkpoint, schedule)
    rates = rates_of(model, schedule)
    assert rates[id(model.classifier.weight)] == (1e-3, 0.1)
    assert rates[id(model.classifier.bias)] == (1e-3, 0.0)
    assert rates[id(model.bert.encoder.layer[1].output.dense.weight)] == (5e-4, 0.1)
    assert rates[id(model.bert.encoder.layer[0].output.LayerNorm.weight)] == (2.5e-4, 0.0)
    assert rates[id(model.bert.embeddings.word_embeddings.weight)] == (1.25e-4, 0.1)
    assert len(rates) == len(list(model.parameters()))
