"""The image demo: the 1,797 handwritten digits that come with scikit-learn, told apart by a small ResNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ftc.demo.training import Schedule, fit

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

    from compress.steps import Mode
    from ftc.data import Example

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
INK_LEVELS = 16
SIDE = 32
"""Pixels; the digits come in 8 x 8."""
TEST_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Digits:
    """The recipe: three stages of two residual blocks.

    :param images: how many of the digits are taken
    """

    images: int = 1797
    widths: tuple[int, ...] = (64, 128, 256)
    blocks: int = 2
    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 2e-3
    seed: int = 0

    name: ClassVar[str] = "digits"
    train: ClassVar[str] = "train"
    test: ClassVar[str] = "test"
    modes: ClassVar[tuple[Mode, ...]] = ("static",)

    def write_data(self, directory: Path) -> str:
        import numpy as np
        from PIL import Image
        from sklearn.datasets import load_digits

        digits = load_digits()
        order = np.random.default_rng(self.seed).permutation(len(digits.images))[: self.images]
        tests = int(len(order) * TEST_SHARE)
        for place, index in enumerate(order.tolist()):
            split = self.test if place < tests else self.train
            folder = directory / split / LABELS[int(digits.target[index])]
            folder.mkdir(parents=True, exist_ok=True)
            ink = (digits.images[index] * (255 / INK_LEVELS)).astype(np.uint8)  # (8, 8)
            image = Image.fromarray(ink).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
            image.save(folder / f"{index:04}.png")
        return f"{len(order) - tests:,} train, {tests:,} test images of handwritten digits, {SIDE} x {SIDE}"

    def train_into(self, data: Path, directory: Path) -> str:
        import torch
        from transformers import ViTImageProcessor

        processor = ViTImageProcessor(size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
        files = sorted((data / self.train).glob("*/*.png"))
        pixels = processor(images=[_pixels(file) for file in files], return_tensors="pt")["pixel_values"]
        rows = [
            {"pixel_values": values, "labels": LABELS.index(file.parent.name)}
            for values, file in zip(pixels, files, strict=True)
        ]
        schedule = Schedule(self.epochs, self.batch_size, self.learning_rate, self.seed)

        def stacked(batch: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
            return {
                "pixel_values": torch.stack([row["pixel_values"] for row in batch]),
                "labels": torch.tensor([row["labels"] for row in batch]),
            }

        model = fit(self._model, rows, stacked, schedule, by_length=False)
        model.save_pretrained(directory)
        processor.save_pretrained(directory)
        depth = 2 * self.blocks * len(self.widths) + 2
        millions = model.num_parameters() / 1e6
        return f"a ResNet of {depth} layers, {millions:.1f} M parameters, {self.epochs} epochs"

    def question(self, data: Path) -> tuple[str, Example]:
        file = sorted((data / self.test).glob("*/*.png"))[0]
        return str(file), _pixels(file)

    def _model(self) -> PreTrainedModel:
        from transformers import ResNetConfig, ResNetForImageClassification

        config = ResNetConfig(
            embedding_size=self.widths[0],
            hidden_sizes=list(self.widths),
            depths=[self.blocks] * len(self.widths),
            layer_type="basic",
            id2label=dict(enumerate(LABELS)),
            label2id={label: number for number, label in enumerate(LABELS)},
        )
        return ResNetForImageClassification(config)


def _pixels(file: Path) -> np.ndarray:
    """An image as RGB uint8 (H, W, 3)."""
    import numpy as np
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
