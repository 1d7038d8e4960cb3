"""The pipe between `bench` and its workers: frames of JSON and plain arrays, never pickles."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from ftc.data import Example

_LENGTHS = struct.Struct("<QQ")
"""Every frame begins with the bytes of its JSON and of its arrays (an .npz archive, or nothing)."""

Arrays = Mapping[str, np.ndarray]


def send(stream: IO[bytes], message: Mapping[str, Any], arrays: Arrays | None = None) -> None:
    """Write one frame."""
    text, archive = json.dumps(message).encode(), b""
    if arrays:
        buffer = io.BytesIO()
        np.savez(buffer, **cast("dict[str, bool]", dict(arrays)))
        archive = buffer.getvalue()
    stream.write(_LENGTHS.pack(len(text), len(archive)) + text + archive)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Block until a whole frame is there; None once the other side has closed the pipe, even within one."""
    head = stream.read(_LENGTHS.size)
    if len(head) < _LENGTHS.size:
        return None
    text_length, archive_length = _LENGTHS.unpack(head)
    body = stream.read(text_length + archive_length)
    if len(body) < text_length + archive_length:
        return None
    arrays: dict[str, np.ndarray] = {}
    if archive_length:
        with np.load(io.BytesIO(body[text_length:]), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    return json.loads(body[:text_length]), arrays


def packed(examples: Sequence[Example]) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Examples for a frame: texts and pairs in its JSON, images (None there) in its arrays."""
    texts: list[Any] = [None if isinstance(example, np.ndarray) else example for example in examples]
    images = {f"{row}": example for row, example in enumerate(examples) if isinstance(example, np.ndarray)}
    return texts, images


def unpacked(texts: Sequence[Any], images: Arrays) -> list[Example]:
    """What `packed` packed."""
    return [
        images[f"{row}"] if text is None else tuple(text) if isinstance(text, list) else text
        for row, text in enumerate(texts)
    ]
