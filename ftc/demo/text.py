"""The text demo: which of twelve things a customer wants, told by a small BERT."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ftc.demo import intents
from ftc.demo.intents import LABELS
from ftc.demo.training import Schedule, fit

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from compress.steps import Mode
    from ftc.data import Example

MAX_LENGTH = 64
HEAD_WIDTH = 64
SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
QUESTION = "hi, the kettle went back to you ten days ago and i still have no refund, what now?"


@dataclass(frozen=True, slots=True)
class Intents:
    """The recipe: 4 layers of width 256 are enough to tell intents apart, and for INT8 to pay.

    :param train_rows: sentences for training; `dev.csv` gets a tenth of that, `test.csv` a fifth
    """

    train_rows: int = 3000
    vocabulary: int = 1000
    layers: int = 4
    hidden: int = 256
    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 7e-4
    seed: int = 0

    name: ClassVar[str] = "intents"
    train: ClassVar[str] = "train.csv"
    test: ClassVar[str] = "test.csv"
    modes: ClassVar[tuple[Mode, ...]] = ("dynamic", "static")

    def write_data(self, directory: Path) -> str:
        sizes = {"train": self.train_rows, "dev": self.train_rows // 10, "test": self.train_rows // 5}
        intents.write(intents.generate(sizes, self.seed), directory)
        counts = ", ".join(f"{size:,} {name}" for name, size in sizes.items())
        return f"{counts} sentences of {len(LABELS)} intents from a written grammar"

    def train_into(self, data: Path, directory: Path) -> str:
        with (data / self.train).open(encoding="utf-8", newline="") as file:
            rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
        tokenizer = _tokenizer([text for text, _ in rows], self.vocabulary)
        encoded = tokenizer([text for text, _ in rows], truncation=True)["input_ids"]
        examples = [
            {"input_ids": ids, "labels": LABELS.index(label)} for ids, (_, label) in zip(encoded, rows, strict=True)
        ]
        schedule = Schedule(self.epochs, self.batch_size, self.learning_rate, self.seed)

        def padded(batch: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
            return dict(tokenizer.pad(list(batch), return_tensors="pt"))

        model = fit(lambda: self._model(len(tokenizer)), examples, padded, schedule, by_length=True)
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        millions = model.num_parameters() / 1e6
        shape = f"{self.layers} layers, {self.hidden} wide, {millions:.1f} M parameters"
        return f"a BERT of {shape}, {self.epochs} epochs"

    def question(self, data: Path) -> tuple[str, Example]:
        return QUESTION, QUESTION

    def _model(self, tokens: int) -> PreTrainedModel:
        from transformers import BertConfig, BertForSequenceClassification

        config = BertConfig(
            vocab_size=tokens,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=max(1, self.hidden // HEAD_WIDTH),
            intermediate_size=4 * self.hidden,
            max_position_embeddings=MAX_LENGTH,
            id2label=dict(enumerate(LABELS)),
            label2id={label: number for number, label in enumerate(LABELS)},
        )
        return BertForSequenceClassification(config)


def _tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer: the most frequent words of the texts, and single characters.

    What is mistyped falls apart into known pieces. The trainer of `tokenizers` is not used because it breaks ties
    by chance, and the same texts would give another model each time.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import BertProcessing
    from transformers import PreTrainedTokenizerFast

    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    characters = sorted(set("".join(words)))
    pieces = [*SPECIAL_TOKENS.values(), *characters, *(f"##{character}" for character in characters)]
    frequent = sorted((word for word in words if len(word) > 1), key=lambda word: (-words[word], word))
    vocabulary = {piece: number for number, piece in enumerate([*pieces, *frequent][:size])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    ends = (("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.post_processor = BertProcessing(*ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=MAX_LENGTH, **SPECIAL_TOKENS)
