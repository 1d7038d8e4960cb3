"""Image classification: one class for an RGB image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from ftc.preprocessing import ImagePreprocessing
from ftc.tasks import classification
from ftc.tasks.encoding import Encoded, ImageEncoder

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.data import Example


class ImageClassification:
    """One label for each image."""

    modality: ClassVar[Literal["text", "image"]] = "image"
    architecture_suffix: ClassVar[str] = "ForImageClassification"
    main_metric: ClassVar[str] = classification.MAIN_METRIC

    def __init__(self, labels: tuple[str, ...], encoder: ImageEncoder) -> None:
        self.labels = labels
        self._encoder = encoder

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        preprocessing = artifact.manifest.preprocessing
        assert isinstance(preprocessing, ImagePreprocessing), "an image task has image preprocessing"
        return cls(artifact.manifest.labels, ImageEncoder(preprocessing))

    @staticmethod
    def golden_examples() -> list[Example]:
        """Smooth colour fields of several sizes, portrait and landscape: they excite every channel."""
        sizes = [(96, 128), (300, 200), (64, 64), (224, 224), (181, 333), (48, 40)]
        return [_waves(height, width, seed) for seed, (height, width) in enumerate(sizes)]

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


def _waves(height: int, width: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / 32.0
    waves = np.zeros((height, width, 3))
    for _ in range(6):
        direction, phase, colour = random.normal(size=2), random.uniform(0, 2 * np.pi), random.normal(size=3)
        waves += np.sin(direction[0] * rows + direction[1] * columns + phase)[..., None] * colour
    return np.clip(128 + 48 * waves, 0, 255).astype(np.uint8)  # (H, W, 3) uint8
