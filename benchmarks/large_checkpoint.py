"""Export and dynamic INT8 of a generated 2.5 GB checkpoint: success, and peak memory against the weights.

python benchmarks/large_checkpoint.py [--layers 20]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from measuring import FTC, checked


def generate(path: Path, layers: int) -> int:
    """Save a BERT of width 1,536 with random weights in shards of 1 GB; return the size of its weights in bytes."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *(f"{p}{c}" for c in "abcdefghijklmnopqrstuvwxyz" for p in ("", "##")),
    ]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=512, model_input_names=inputs, **names
    ).save_pretrained(path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30_522,
        hidden_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=24,
        intermediate_size=6144,
    )
    BertForSequenceClassification(config).save_pretrained(path, max_shard_size="1GB")
    return sum(file.stat().st_size for file in path.glob("*.safetensors"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=20)
    folder = Path(tempfile.mkdtemp(dir="."))
    try:
        weights = generate(folder / "big", parser.parse_args().layers)
        result = checked([*FTC, "quantize", folder / "big", "--artifacts", folder / "artifacts"])
        print(result.stdout.strip())
        print(f"weights {weights / 1e9:.2f} GB, peak memory {result.peak_rss_bytes / weights:.2f}x the weights")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
