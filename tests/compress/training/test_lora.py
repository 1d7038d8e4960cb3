"""Low-rank updates: beside which matrices, what is trained whole, and what is left of them in the end."""

from __future__ import annotations

import pytest
import torch
import transformers

from compress.training.lora import adapted, merged

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
SMALL = {
    "Bert": {**SIZES, "vocab_size": 30},
    "DistilBert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24, "vocab_size": 30},
    "DebertaV2": {**SIZES, "vocab_size": 30},
    "Roberta": {**SIZES, "vocab_size": 30},
    "ViT": {**SIZES, "image_size": 8, "patch_size": 4},
}
INPUTS = {"ViT": {"pixel_values": torch.zeros(1, 3, 8, 8)}}


@pytest.mark.parametrize("architecture", SMALL)
def test_every_matrix_of_the_body_and_the_whole_head(architecture: str) -> None:
    kind = "ImageClassification" if architecture == "ViT" else "SequenceClassification"
    config = getattr(transformers, f"{architecture}Config")(**SMALL[architecture])
    model = getattr(transformers, f"{architecture}For{kind}")(config).eval()
    inputs = INPUTS.get(architecture, {"input_ids": torch.tensor([[2, 3, 4]])})
    before = {name: values.clone() for name, values in model.state_dict().items()}
    with torch.no_grad():
        answer = model(**inputs).logits
    body = f"{model.base_model_prefix}."
    trained = adapted(model, 2).eval()
    learning = [name.removeprefix("base_model.model.") for name, p in trained.named_parameters() if p.requires_grad]
    whole = {name.replace("modules_to_save.default.", "") for name in learning if ".lora_" not in name}
    assert whole == {name for name in before if not name.startswith(body)}
    assert all(name.startswith(body) for name in learning if ".lora_" in name)
    with torch.no_grad():
        torch.testing.assert_close(trained(**inputs).logits, answer, msg="updates begin at nothing")
        for name, parameter in trained.named_parameters():
            if ".lora_B" in name or "modules_to_save" in name:
                parameter.add_(0.5)
    with torch.no_grad():
        moved = trained(**inputs).logits
    result = merged(trained)
    assert {name for name, values in result.state_dict().items()} == set(before)
    with torch.no_grad():
        torch.testing.assert_close(result(**inputs).logits, moved)
        assert not torch.allclose(moved, answer)
