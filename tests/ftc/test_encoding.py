"""Encoding from the manifest's values alone equals what transformers does with the checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftc.checkpoint import open_any
from ftc.errors import InputError
from ftc.huggingface.preprocessing import image_preprocessing
from ftc.huggingface.tokenizer import load_tokenizer
from ftc.tasks.encoding import ImageEncoder
from ftc.tasks.task import open_task

PROCESSORS = {
    "ViTImageProcessor": {"size": {"height": 24, "width": 20}},
    "DeiTImageProcessor": {"size": {"height": 40, "width": 40}, "crop_size": {"height": 32, "width": 32}},
    "ConvNextImageProcessor": {"size": {"shortest_edge": 32}, "crop_pct": 0.875},
    "MobileNetV2ImageProcessor": {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}},
    "MobileViTImageProcessor": {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}},
    "EfficientNetImageProcessor": {"size": {"height": 33, "width": 33}, "rescale_offset": True},
    "CLIPImageProcessor": {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    "BeitImageProcessor": {"size": {"height": 40, "width": 40}, "crop_size": {"height": 48, "width": 48}},
}


@pytest.fixture(params=list(PROCESSORS))
def processor_checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    config = {"image_processor_type": request.param, **PROCESSORS[request.param]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    return tmp_path


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(8, 90), width=st.integers(8, 90), seed=st.integers(0, 99))
def test_images_of_any_size(processor_checkpoint: Path, height: int, width: int, seed: int) -> None:
    from transformers import AutoImageProcessor

    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    processor = AutoImageProcessor.from_pretrained(processor_checkpoint, backend="pil")
    expected = processor(images=image, return_tensors="np")["pixel_values"]
    spec = image_preprocessing(processor_checkpoint)
    np.testing.assert_allclose(ImageEncoder(spec)([image])["pixel_values"], expected, rtol=0, atol=1e-5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    examples=st.lists(
        st.text(max_size=80) | st.tuples(st.text(max_size=60), st.text(max_size=60)), min_size=1, max_size=4
    )
)
def test_texts_of_any_kind(text_checkpoint: Path, examples: list[str | tuple[str, str]]) -> None:
    tokenizer = load_tokenizer(text_checkpoint)
    encoded = open_task(open_any(text_checkpoint)).encode(examples)
    longest = 0
    for row, example in enumerate(examples):
        parts = (example,) if isinstance(example, str) else example
        # lists, as in training: given bare strings, transformers takes an empty second text for none at all
        batch = tokenizer(*([part] for part in parts), truncation=True, max_length=64)
        expected = {name: values[0] for name, values in batch.items()}
        length = len(expected["input_ids"])
        longest = max(longest, length)
        for name, values in encoded.items():
            assert values.dtype == np.int64
            np.testing.assert_array_equal(values[row, :length], expected[name])
        assert not encoded["attention_mask"][row, length:].any()
    assert encoded["input_ids"].shape == (len(examples), longest)


def test_a_processor_that_does_something_else_is_refused(tmp_path: Path) -> None:
    config = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}, "do_pad": True}
    config["pad_size"] = {"height": 12, "width": 12}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="cannot express"):
        image_preprocessing(tmp_path)


def test_no_image_processor(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image processor"):
        image_preprocessing(tmp_path)


@pytest.mark.parametrize("example", ["a text", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_image_is_refused(image_checkpoint: Path, example: object) -> None:
    with pytest.raises(InputError, match="RGB images"):
        open_task(open_any(image_checkpoint)).encode([example])  # type: ignore[list-item]


def test_what_is_no_text_is_refused(text_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="takes texts"):
        open_task(open_any(text_checkpoint)).encode([3])  # type: ignore[list-item]
