"""Reference decoder of an edge bundle: what an application on a device does with the model.

    python decode.py "a text"                    the scores of a text
    python decode.py "a text" "a second text"    of a pair
    python decode.py photo.png                   of an image
    python decode.py -- "--a text"               of a text that begins like an option
    python decode.py --replay                    the golden examples; ends with 1 if an answer differs

It needs numpy, the model's runtime (ai-edge-litert or onnxruntime), and tokenizers for texts or Pillow for images.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF")  # none that starts a program, as EPS does
MOST_PIXELS = 50_000_000
BITS_PER_SAMPLE = 258  # a tag of TIFF
TENSORS = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}


class Decoder:
    """Examples in, scores out, one at a time, as `bundle.json` says."""

    def __init__(self, directory: Path = HERE) -> None:
        self.bundle = json.loads((directory / "bundle.json").read_text(encoding="utf-8"))
        self.labels = self.bundle["labels"]
        self.spec = self.bundle["preprocessing"]
        lengths = self.bundle["settings"].get("lengths")
        self.lengths = [int(length) for length in lengths.split(",")] if lengths else None
        model = str(directory / self.bundle["model"])
        self.run = self._litert(model) if self.bundle["format"] == "tflite" else self._onnx(model)
        if self.spec["kind"] == "text":
            from tokenizers import Tokenizer

            self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
            self.tokenizer.no_padding()
            self.tokenizer.enable_truncation(
                self.spec["max_length"], strategy="longest_first", direction=self.spec["truncation_side"]
            )

    def scores(self, example: Any) -> dict[str, float]:
        """The probability of every label.

        :param example: a text, a list of two texts, or an RGB image in uint8 (H, W, 3)
        """
        feed = self.image(example) if self.spec["kind"] == "image" else self.text(example)
        wanted = self.bundle["outputs"][0]
        answer = self.run({spec["name"]: stored(feed[spec["name"]], spec) for spec in self.bundle["inputs"]})
        values = value(answer, wanted)[0].astype(np.float64)
        if wanted["name"] != "probabilities":
            exponentials = np.exp(values - values.max())
            values = exponentials / exponentials.sum()
        return dict(zip(self.labels, map(float, values), strict=True))

    def text(self, example: str | list[str]) -> dict[str, np.ndarray]:
        """Token ids and masks, int64 (1, L); L is the smallest of the model's lengths that holds the text."""
        parts = [example] if isinstance(example, str) else example
        encoding = self.tokenizer.encode(parts[0], parts[1] if len(parts) == 2 else None)
        length = len(encoding.ids)
        size = length if self.lengths is None else min(fits for fits in self.lengths if fits >= length)
        fills = {"input_ids": self.spec["pad_token_id"], "token_type_ids": self.spec["pad_token_type_id"]}
        tensors = {}
        for name in self.spec["inputs"]:
            row = np.full((1, size), fills.get(name, 0), np.int64)
            kept = slice(length) if self.spec["padding_side"] == "right" else slice(size - length, None)
            row[0, kept] = getattr(encoding, TENSORS[name])
            tensors[name] = row
        return tensors

    def image(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """float32 (1, 3, H, W), or (1, H, W, 3) for layout NHWC."""
        spec = self.spec
        if spec["resize"] is not None:
            pixels = resized(pixels, spec["resize"])
        if spec["crop"] is not None:
            pixels = cropped(pixels, *spec["crop"], even=spec["crop_rounding"] == "half-even")
        if spec["flip_channels"]:
            pixels = pixels[..., ::-1]
        values: np.ndarray = pixels.astype(np.float32)
        if spec["scale"] is not None:
            values = (pixels.astype(np.float64) * spec["scale"] + spec["offset"]).astype(np.float32)
        if spec["mean"] is not None and spec["std"] is not None:
            values = (values - np.asarray(spec["mean"], np.float32)) / np.asarray(spec["std"], np.float32)
        if spec["layout"] == "NCHW":
            values = values.transpose(2, 0, 1)
        return {spec["input"]: np.ascontiguousarray(values[None])}

    def _onnx(self, model: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        for key, setting in self.bundle["settings"].items():
            options.add_session_config_entry(key, setting)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda feed: session.run([self.bundle["outputs"][0]["name"]], feed)[0]

    def _litert(self, model: str) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=model)
        runners: dict[str, Any] = {}

        def run(feed: dict[str, np.ndarray]) -> Any:
            length = next(iter(feed.values())).shape[1]
            name = "serving_default" if self.lengths is None else f"length_{length}"
            if name not in runners:
                runners[name] = interpreter.get_signature_runner(name)
            return runners[name](**feed)[self.bundle["outputs"][0]["name"]]

        return run


def stored(values: np.ndarray, spec: dict[str, Any]) -> np.ndarray:
    """Values as the model's input holds them."""
    kind = np.dtype(spec["dtype"])
    if kind.kind not in "iu" or (values.dtype.kind in "iu" and spec["scale"] is None):
        return values.astype(kind)
    scaled = values if spec["scale"] is None else values / np.float32(spec["scale"])
    numbers = np.rint(scaled) + (spec["zero_point"] or 0)
    kept: np.ndarray = np.clip(numbers, np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)
    return kept


def value(numbers: np.ndarray, spec: dict[str, Any]) -> np.ndarray:
    """What the numbers of the model's output stand for."""
    if spec["scale"] is None:
        return numbers.astype(np.float32)
    meant: np.ndarray = (numbers.astype(np.float32) - (spec["zero_point"] or 0)) * np.float32(spec["scale"])
    return meant


def resized(pixels: np.ndarray, resize: dict[str, Any]) -> np.ndarray:
    """Resized with Pillow's filters."""
    from PIL import Image

    height, width = pixels.shape[:2]
    size = (resize["width"], resize["height"])
    if resize["shortest_edge"] is not None:
        short = resize["shortest_edge"]
        long = int(short * max(width, height) / min(width, height))
        size = (short, long) if width <= height else (long, short)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling(resize["resample"])))


def cropped(pixels: np.ndarray, height: int, width: int, *, even: bool) -> np.ndarray:
    """The middle of an image, with zeros around it where it is smaller."""
    spare = (pixels.shape[0] - height, pixels.shape[1] - width)
    top, left = (round(left_over / 2) if even else left_over // 2 for left_over in spare)
    if top < 0 or left < 0:
        rows, columns = max(height, pixels.shape[0]), max(width, pixels.shape[1])
        above, before = -(-(rows - pixels.shape[0]) // 2), -(-(columns - pixels.shape[1]) // 2)
        canvas = np.zeros((rows, columns, 3), pixels.dtype)
        canvas[above : above + pixels.shape[0], before : before + pixels.shape[1]] = pixels
        pixels, top, left = canvas, max(0, top + above), max(0, left + before)
    return pixels[top : top + height, left : left + width]


def read_image(path: Path) -> np.ndarray:
    """RGB in uint8 (H, W, 3); grey of 16 bits is scaled to 8, of several pictures in a file the first counts.

    :raises OSError: if it is no image of a known format, or damaged
    :raises ValueError: if it is too large, or holds numbers whose black and white are not known
    """
    from PIL import Image
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels; up to {MOST_PIXELS} are taken")
            bits = image.tag_v2.get(BITS_PER_SAMPLE, (16,))[0] if isinstance(image, TiffImageFile) else 16
            if bits == 16 and (image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")):
                grey = np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8)  # 65535 = 257 x 255
                return np.repeat(grey[..., None], 3, axis=2)
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"{image.mode} pixels have no known black and white")
            return np.asarray(image.convert("RGB"))
    except (Image.DecompressionBombError, SyntaxError, EOFError, IndexError, OverflowError, struct.error) as error:
        raise OSError(f"{path} cannot be decoded: {error}") from error  # what Pillow raises besides OSError


def replay() -> int:
    """Answer every golden example; the number of those whose scores differ."""
    decoder = Decoder()
    golden = json.loads((HERE / "golden" / "golden.json").read_text(encoding="utf-8"))
    wrong, largest = 0, 0.0
    for number, example in enumerate(golden["examples"]):
        scores = decoder.scores(example["text"] if "text" in example else read_image(HERE / example["image"]))
        difference = max(abs(scores[label] - wanted) for label, wanted in example["scores"].items())
        largest = max(largest, difference)
        if not difference <= golden["tolerance"]:
            print(f"golden example {number}: a score differs by {difference:.2g}", file=sys.stderr)
            wrong += 1
    print(json.dumps({"replayed": len(golden["examples"]), "wrong": wrong, "largest_difference": largest}))
    return wrong


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if arguments == ["--replay"]:
        return 1 if replay() else 0
    if arguments[:1] == ["--"]:  # what follows is text, whatever it begins with
        arguments = arguments[1:]
    elif any(argument.startswith("--") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    if not 1 <= len(arguments) <= 2 or not all(argument.strip() for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    decoder = Decoder()
    is_image = decoder.spec["kind"] == "image"
    if is_image and len(arguments) > 1:
        print("one image at a time, please", file=sys.stderr)
        return 2
    try:
        for argument in arguments:
            argument.encode()  # what a terminal sends need not be UTF-8
        example = read_image(Path(arguments[0])) if is_image else arguments if len(arguments) == 2 else arguments[0]
    except (OSError, ValueError) as error:
        print(f"this cannot be read: {error}", file=sys.stderr)
        return 2
    print(json.dumps(decoder.scores(example)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
