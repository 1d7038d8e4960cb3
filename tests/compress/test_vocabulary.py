"""Trimmed vocabularies: texts whose tokens stay are cut as before, other words fall into pieces."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from compress.pruning.vocabulary import kept_tokens, trimmed
from compress.verbs import export, prune, quantize
from ftc.checkpoint import load, open_any
from ftc.data import Dataset
from ftc.data import load as load_data
from ftc.errors import InputError
from ftc.runtimes.session import open_session
from ftc.tasks.task import open_task
from tests.conftest import TEXT_LABELS, save_text_checkpoint

CORPUS = [
    "the battery arrived early and the screen is bright",
    "how often would you recommend a slow delivery",
    "where was it not for good and i change this order of a charming film",
    "ein langer Weg, überall Bäume; tres bien, ça va",
    "unbelievable underestimates misunderstanding of international standardization",
] * 3
WORDS = sorted({word for text in CORPUS for word in text.split()})


def _trained(kind: str) -> Tokenizer:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    if kind == "Unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=special, unk_token="<unk>")
    elif kind == "BPE":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=alphabet)
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordPieceTrainer(vocab_size=250, special_tokens=special)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
    return tokenizer


TOKENIZERS = {kind: _trained(kind) for kind in ("WordPiece", "Unigram", "BPE")}


@pytest.mark.parametrize("kind", list(TOKENIZERS))
@given(
    seen=st.lists(st.sampled_from(WORDS), min_size=1, max_size=12),
    asked=st.lists(st.sampled_from(WORDS), min_size=1, max_size=8),
)
def test_texts_whose_tokens_stay_are_cut_as_before(kind: str, seen: list[str], asked: list[str]) -> None:
    whole = TOKENIZERS[kind]
    document = json.loads(whole.to_str())
    kept = kept_tokens(document, set(whole.encode(" ".join(seen)).ids), kind)
    small = Tokenizer.from_str(json.dumps(trimmed(document, kept)))
    assert small.get_vocab_size() == len(kept)
    assert small.encode(" ".join(seen)).tokens == whole.encode(" ".join(seen)).tokens
    before, after = whole.encode(" ".join(asked)), small.encode(" ".join(asked))
    if set(before.ids) <= set(kept):
        assert after.tokens == before.tokens
    # what was known stays known, whole or in pieces
    assert ("<unk>" in after.tokens) == ("<unk>" in before.tokens)
    assert [kept[token] for token in after.ids] == [whole.token_to_id(token) for token in after.tokens]


def test_a_kind_that_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match="'WordLevel' cannot be trimmed"):
        kept_tokens({"model": {"type": "WordLevel", "vocab": {"a": 0}}}, {0}, "it")


@pytest.fixture
def few(tmp_path: Path) -> Dataset:
    path = tmp_path / "few.tsv"
    path.write_text("sentence\tlabel\n" + "the screen is bright\t1\ngood film\t0\n" * 3)
    return load_data(str(path), modality="text", classes=TEXT_LABELS)


@pytest.mark.parametrize("architecture", ["Bert", "DistilBert", "Electra", "Roberta"])
def test_the_network_answers_as_before(architecture: str, few: Dataset, tmp_path: Path) -> None:
    positions = {"max_position_embeddings": 80} if architecture == "Roberta" else {}
    root = open_any(save_text_checkpoint(tmp_path / "ckpt", architecture=architecture, **positions))
    made = prune(root, tmp_path, data=few, vocabulary=True)
    assert made.path.name == "ckpt-trimmed"
    record = made.manifest.pruning
    assert record is not None
    (cut,) = record.removed
    assert (cut.kind, cut.before) == ("tokens", load(root.path).get_input_embeddings().weight.shape[0])
    network = load(made.path)
    assert network.get_input_embeddings().weight.shape[0] == network.config.vocab_size == cut.after < cut.before
    assert made.manifest.facts.size_bytes < root.manifest.facts.size_bytes
    for texts in (["the screen is bright"], ["good film", "the film is good good", ("bright", "screen")]):
        before, after = (
            open_session(artifact).run(open_task(artifact).encode(texts))["logits"] for artifact in (root, made)
        )
        np.testing.assert_allclose(after, before, atol=1e-5)
    # a word that went falls into characters, and is no unknown
    ids = open_task(made).encode(["charming"])["input_ids"][0]
    assert len(ids) == 2 + len("charming")
    # transformers itself opens it, too, and cuts texts alike
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(made.path)
    assert (
        tokenizer("the screen is charming")["input_ids"]
        == open_task(made).encode(["the screen is charming"])["input_ids"][0].tolist()
    )
    assert AutoModelForSequenceClassification.from_pretrained(made.path).config.vocab_size == cut.after


def test_it_is_exported_quantized_and_pruned_on(text_checkpoint: Path, few: Dataset, tmp_path: Path) -> None:
    made = prune(open_any(text_checkpoint), tmp_path, data=few, vocabulary=True)
    assert export(made, tmp_path).manifest.parity is not None
    assert quantize(made, tmp_path).manifest.parity is not None
    many = Dataset(list(few.examples) * 10, np.resize(np.array([0, 1]), 60), "many", "f", few.columns)
    both = prune(made, tmp_path, data=many, given={"keep": 0.6})
    assert both.manifest.name == "tiny-bert-trimmed-keep-0.6"
    again = prune(both, tmp_path, data=few, vocabulary=True)
    assert load(again.path).config.vocab_size == load(made.path).config.vocab_size


def test_images_have_no_vocabulary(image_checkpoint: Path, image_data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a text model"):
        prune(open_any(image_checkpoint), tmp_path, data=image_data, vocabulary=True)


def test_what_does_not_belong_to_a_vocabulary_is_refused(text_checkpoint: Path, few: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--keep is no option of trim-vocabulary"):
        prune(open_any(text_checkpoint), tmp_path, data=few, vocabulary=True, given={"keep": 0.5})
