"""What identifies a dataset's content wherever it lies: a digest of columns, labels, and examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ftc.data.dataset import Columns


def fingerprint(columns: Columns, labels: NDArray[np.int64] | None, content: Iterable[bytes]) -> str:
    """SHA-256 (hex) of the columns' names, the class ids, and the content.

    Every part is preceded by its length, so that different datasets never make the same byte stream.

    :param columns: the columns taken
    :param labels: (N,) class ids
    :param content: the examples: UTF-8 texts, image files' bytes, or pixels
    """
    head = json.dumps(asdict(columns), sort_keys=True).encode()
    ids = b"" if labels is None else labels.astype("<i8").tobytes()  # the same on big-endian machines
    digest = hashlib.sha256()
    for part in chain((head, ids), content):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
