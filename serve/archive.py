"""A `.tar.gz` whose bytes follow from its files alone."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ftc.errors import RunError


def pack(files: Mapping[str, bytes], root: str) -> bytes:
    """The same files give the same bytes: sorted names, no times, no owners."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{root}/{name}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def write(packed: bytes, target: Path) -> None:
    """Give the bytes their name when all of them are on the disk.

    :raises RunError: if they cannot be written
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as draft:
            place = Path(draft.name)
            try:
                draft.write(packed)
                draft.flush()
                os.fsync(draft.fileno())
                place.chmod(0o644)
                place.rename(target)
            except BaseException:
                place.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror}. Choose another place with -o.") from error
