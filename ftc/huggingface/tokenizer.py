"""Loading a Hugging Face checkpoint's tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ftc.collector import collector_paused
from ftc.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@collector_paused()
def load_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """The checkpoint's tokenizer, in its `tokenizers`-backed form.

    :raises InputError: if there is none, or only one that exists as Python code
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception for a broken tokenizer.json
        raise InputError(
            f"{path} has no tokenizer that can be loaded ({type(error).__name__}: {str(error).splitlines()[0][:160]}). "
            "Save it beside the weights: tokenizer.save_pretrained(...)."
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise InputError(
            f"{path}: its tokenizer ({type(tokenizer).__name__}) exists as Python code only; ftc needs one that the "
            "tokenizers library can run (a tokenizer.json)."
        )
    return tokenizer
