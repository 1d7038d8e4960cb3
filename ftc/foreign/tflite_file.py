"""Reading what a TFLite file takes and answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ftc.foreign.ports import Contents, Port
from ftc.runtimes.litert_file import LiteRtFile


def read(path: Path) -> Contents:
    """:raises InputError: if LiteRT cannot open it: damaged, operators that need a delegate, several signatures"""
    file = LiteRtFile(path, threads=1)
    return Contents(
        (path,),
        tuple(_port(name, details) for name, details in file.inputs.items()),
        tuple(_port(name, details) for name, details in file.outputs.items()),
    )


def _port(name: str, details: Mapping[str, Any]) -> Port:
    scale, zero_point = details["quantization"]
    kind = np.dtype(details["dtype"])
    # the batch that is allocated: rows of a file that leaves it open are run one by one
    sizes = [int(size) for size in details["shape_signature"]]
    if sizes:
        sizes[0] = int(details["shape"][0])
    quantized = bool(scale) and np.issubdtype(kind, np.integer)
    return Port(
        name,
        kind.name,
        tuple(None if size < 0 else size for size in sizes),
        float(scale) if quantized else None,
        int(zero_point) if quantized else 0,
    )
