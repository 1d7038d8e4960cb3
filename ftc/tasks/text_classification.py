"""Text classification: one class for a text or for a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from ftc.manifest import TOKENIZER
from ftc.preprocessing import TextPreprocessing
from ftc.tasks import classification
from ftc.tasks.encoding import TOKENIZER_FILE, Encoded, TextEncoder

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Example


class TextClassification:
    """Single texts and pairs alike: the data decides which it is."""

    modality: ClassVar[Literal["text", "image"]] = "text"
    architecture_suffix: ClassVar[str] = "ForSequenceClassification"
    main_metric: ClassVar[str] = classification.MAIN_METRIC

    def __init__(self, labels: tuple[str, ...], encoder: TextEncoder) -> None:
        self.labels = labels
        self._encoder = encoder

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        preprocessing = artifact.manifest.preprocessing
        assert isinstance(preprocessing, TextPreprocessing), "a text task has text preprocessing"
        elsewhere = artifact.manifest.run.session_config.get(TOKENIZER) if artifact.manifest.is_root else None
        if elsewhere is not None:
            return cls(artifact.manifest.labels, TextEncoder.from_file(preprocessing, Path(elsewhere)))
        if artifact.manifest.is_root:
            from ftc.huggingface.tokenizer import load_tokenizer

            tokenizer = load_tokenizer(artifact.path).backend_tokenizer
            return cls(artifact.manifest.labels, TextEncoder(preprocessing, tokenizer))
        encoder = TextEncoder.from_file(preprocessing, artifact.file(TOKENIZER_FILE))
        return cls(artifact.manifest.labels, encoder)

    @staticmethod
    def golden_examples() -> list[Example]:
        return [
            "Good.",
            "I would not recommend this to anyone.",
            "The battery lasts two days, the screen is bright, and it arrived a day early.",
            ("Where can I change my delivery address?", "Addresses are edited on the account page."),
            "Ünïcödé, emoji 🙂 and CJK 漢字 go through the same tokenizer as everything else.",
            "How do I cancel an order that has already been shipped to the wrong house in the wrong street?",
            "It starts slowly, and for a while nothing much seems to happen; then, almost without notice, the "
            "story turns, the quiet scenes begin to matter, and what looked like a small film about a family "
            "turns out to be about everything that they never said to each other. "
            "I left the cinema wanting to see it again at once.",
            "one two three four five six seven eight nine ten " * 6,
        ]

    def encode(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        return self._encoder(examples)

    def encode_each(self, examples: Sequence[Example]) -> list[Encoded]:
        return self._encoder.each(examples)

    def batch(self, encoded: Sequence[Encoded]) -> dict[str, np.ndarray]:
        return self._encoder.batch(encoded)

    def length(self, example: Example) -> int:
        return self._encoder.length(example)

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[classification.Prediction]:
        return classification.predictions(outputs, self.labels)

    def chosen(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return classification.chosen(outputs)

    def score(self, outputs: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, float]:
        return classification.metrics(outputs, targets)
