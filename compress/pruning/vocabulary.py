"""Trimming a tokenizer to the tokens that texts need: `tokenizer.json` rewritten, and which of its tokens are left."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from ftc.errors import InputError

Document = Mapping[str, Any]
"""A `tokenizer.json`, as it is read."""


def kept_tokens(tokenizer: Document, used: Collection[int], name: str) -> tuple[int, ...]:
    """The ids that stay, ascending: those used, those added, and what any text falls into that is made of others.

    Texts of tokens that stay are cut into the same ones as before. WordPiece takes the longest piece that there is;
    Unigram the most probable way, which stays so when others go; BPE merges in the order of its list, of which every
    merge stays whose result lies inside a token that stays.

    :param used: ids that occurred in texts
    :param name: what to call the tokenizer in a message
    :raises InputError: if its model is of a kind that is not known here
    """
    words = _ids(tokenizer, name)
    kept = {token for token in words.values() if token in used}
    kept |= {added["id"] for added in tokenizer.get("added_tokens", ())}
    model = tokenizer["model"]
    unknown = model.get("unk_token")
    if unknown in words:
        kept.add(words[unknown])
    if model["type"] == "Unigram" and model.get("unk_id") is not None:
        kept.add(model["unk_id"])
    prefix = model.get("continuing_subword_prefix") or ""
    kept |= {token for word, token in words.items() if _is_one_character(word, prefix)}
    if model["type"] == "BPE":
        # a merge inside a word passes through pieces of the tokens that it ends in
        texts = [word for word, token in words.items() if token in kept]
        pieces = {text[i:j] for text in texts for i in range(len(text)) for j in range(i + 1, len(text) + 1)}
        kept |= {token for word, token in words.items() if word in pieces}
    return tuple(sorted(kept))


def trimmed(tokenizer: Document, kept: Collection[int]) -> dict[str, Any]:
    """The tokenizer with only the tokens of some ids, numbered anew in their order."""
    new = {old: number for number, old in enumerate(sorted(kept))}
    document = copy.deepcopy(dict(tokenizer))
    model = document["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [entry for number, entry in enumerate(model["vocab"]) if number in new]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {word: new[token] for word, token in model["vocab"].items() if token in new}
    if model["type"] == "BPE":
        model["merges"] = [merge for merge in model["merges"] if "".join(_pair(merge)) in model["vocab"]]
    for added in document.get("added_tokens", ()):
        added["id"] = new[added["id"]]
    if document.get("padding"):
        document["padding"]["pad_id"] = new[document["padding"]["pad_id"]]
    if document.get("post_processor"):
        _renumber(document["post_processor"], new)
    return document


def _ids(tokenizer: Document, name: str) -> dict[str, int]:
    model = tokenizer["model"]
    kind = model.get("type")
    if kind in ("WordPiece", "BPE"):
        return dict(model["vocab"])
    if kind == "Unigram":
        return {word: number for number, (word, _) in enumerate(model["vocab"])}
    raise InputError(f"{name}: a tokenizer of kind {kind!r} cannot be trimmed; WordPiece, Unigram and BPE can.")


def _is_one_character(word: str, prefix: str) -> bool:
    """A letter alone or in the middle of a word, or one byte: what every text is made of in the end."""
    bare = word.removeprefix(prefix).removeprefix("\u2581").removesuffix("</w>")
    return len(bare) <= 1 or (len(bare) == 6 and bare.startswith("<0x") and bare.endswith(">"))


def _pair(merge: str | list[str]) -> list[str]:
    return merge.split(" ") if isinstance(merge, str) else merge


def _renumber(processor: dict[str, Any], new: Mapping[int, int]) -> None:
    """Give the special tokens of a post-processor their new ids, in place."""
    for inner in processor.get("processors", ()):
        _renumber(inner, new)
    for special in (processor.get("special_tokens") or {}).values():
        special["ids"] = [new[token] for token in special["ids"]]
    for place in ("sep", "cls"):
        if place in processor:
            processor[place][1] = new[processor[place][1]]
