"""Weight files of a Hugging Face checkpoint, checked by their headers without reading a tensor."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftc.errors import InputError


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight files of a checkpoint; parameters are known only where the files say so without being run."""

    files: tuple[Path, ...]
    parameters: int | None
    dtypes: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Size of all the files together."""
        return sum(file.stat().st_size for file in self.files)


def read_weights(path: Path) -> Weights:
    """Find the weight files and check safetensors headers against file sizes, without reading the tensors.

    :raises InputError: if there are none, a shard is missing, or a file is truncated or corrupt
    """
    single, index, pickled = (
        path / "model.safetensors",
        path / "model.safetensors.index.json",
        path / "pytorch_model.bin",
    )
    files: tuple[Path, ...]
    if single.is_file():
        files = (single,)
    elif index.is_file():
        files = _shards(index)
    elif pickled.is_file():
        return Weights((pickled,), None, ())
    elif (path / "pytorch_model.bin.index.json").is_file():
        shards = _shards(path / "pytorch_model.bin.index.json")
        return Weights(shards, None, ())
    else:
        raise InputError(
            f"{path} has no weights: looked for model.safetensors, model.safetensors.index.json and pytorch_model.bin."
        )
    parameters, dtypes = 0, set[str]()
    for file in files:
        for entry in _safetensors_header(file).values():
            size = 1
            for dimension in entry["shape"]:
                size *= dimension
            # position ids and the like are buffers, saved by old versions; they are integers
            if entry["dtype"] in ("F64", "F32", "F16", "BF16"):
                parameters += size
                dtypes.add(entry["dtype"])
            elif entry["dtype"] not in ("I64", "I32", "BOOL"):
                raise InputError(
                    f"{file} holds {entry['dtype']} tensors: it is quantized already. Give the float checkpoint."
                )
    if not parameters:
        raise InputError(f"{path}: its weight files hold no weights; save the model again.")
    return Weights(files, parameters, tuple(sorted(dtypes)))


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{index} is not a weight index: {error}.") from error
    for name in names:
        shard = index.parent / name
        if not shard.resolve().is_relative_to(index.parent.resolve()):
            raise InputError(f"{index} names {name!r}, which lies outside the checkpoint; not opened.")
        if not shard.is_file():
            raise InputError(f"{index} names {name!r}, which is missing: the checkpoint was copied in part.")
    return tuple(index.parent / name for name in names)


def _safetensors_header(file: Path) -> dict[str, dict[str, Any]]:
    """The header of a safetensors file: 8 bytes of length, then JSON; offsets are relative to its end.

    The format is specified in the safetensors README, section "Format".
    """
    from safetensors import SafetensorError, safe_open

    size = file.stat().st_size
    damaged = f"{file} is damaged or was copied in part"
    with file.open("rb") as stream:
        start = stream.read(8)
        if len(start) < 8:
            raise InputError(f"{damaged}: it has {size} bytes.")
        length = struct.unpack("<Q", start)[0]
        if length > min(size - 8, 100_000_000):
            raise InputError(f"{damaged}: its header claims {length} bytes, the file has {size}.")
        try:
            header: dict[str, dict[str, Any]] = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise InputError(f"{damaged}: its header is not readable ({error}).") from error
    if 8 + length + end != size:
        raise InputError(f"{damaged}: its header asks for {8 + length + end} bytes, the file has {size}.")
    try:
        with safe_open(file, framework="numpy"):  # checks that shapes, types and offsets agree, reads no tensor
            return header
    except SafetensorError as error:
        raise InputError(f"{damaged}: its header makes no sense ({error}).") from error
