"""A file that is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ftc.errors import RunError


def write(content: bytes, target: Path) -> None:
    """Give the bytes their name when all of them are on the disk.

    :raises RunError: if they cannot be written
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as draft:
            place = Path(draft.name)
            try:
                draft.write(content)
                draft.flush()
                os.fsync(draft.fileno())
                place.chmod(0o644)
                place.rename(target)
            except BaseException:
                place.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror}. Choose another place with -o.") from error
