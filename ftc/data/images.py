"""Images as they lie in files or in cells: found without leaving their folder, decoded when looked at."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE as BITS_PER_SAMPLE
from PIL.TiffImagePlugin import TiffImageFile

from ftc.console import progress
from ftc.data.dataset import OnAccess
from ftc.data.table import FileRoots
from ftc.errors import InputError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF")  # none that starts a program, as EPS does
MANY = 2000  # files whose reading may take more than two seconds from a disk


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """Images by row; called with a row it decodes one, uint8 (H, W, 3).

    :param cells: a file name, an encoded image, or ``{"bytes": ..., "path": ...}`` per row
    :param roots: where the files lie
    :param where: names the source and a row, for messages
    """

    cells: Sequence[object]
    roots: FileRoots
    where: Callable[[int], str]

    def __call__(self, row: int) -> NDArray[np.uint8]:
        encoded = self.encoded(row)
        cell = self.cells[row]
        name = cell.get("path") if isinstance(cell, dict) else cell
        return decode(encoded, f"{self.where(row)}: {name}" if isinstance(name, str) else self.where(row))

    def encoded(self, row: int) -> bytes:
        """The image as it is stored.

        :raises InputError: if there is none, or its file is missing or outside of its folder
        """
        cell = self.cells[row]
        stored, name = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, cell)
        if isinstance(stored, bytes):
            return stored
        if not isinstance(name, str) or not name:
            found = type(name).__name__ if name else "nothing"
            raise InputError(f"{self.where(row)}: an image or the name of its file is needed, found {found}")
        path = _inside(name, self.roots, self.where(row))
        try:
            return path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.where(row)}: {path} cannot be read: {error.strerror}") from error


def from_cells(
    cells: Sequence[object], roots: FileRoots, where: Callable[[int], str], source: str
) -> tuple[OnAccess[NDArray[np.uint8]], Iterator[bytes]]:
    """The images of a column, decoded on access, and their stored bytes, read one by one."""
    images = EncodedImages(cells, roots, where)
    return OnAccess(images, range(len(cells))), _stored(images, source)


def _stored(images: EncodedImages, source: str) -> Iterator[bytes]:
    count = len(images.cells)
    if count < MANY:
        yield from map(images.encoded, range(count))
        return
    with progress(f"reading the images of {source}", count) as advance:
        for row in range(count):
            yield images.encoded(row)
            advance()


def decode(encoded: bytes, where: str, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """An image file's pixels as RGB uint8 (H, W, 3); its EXIF orientation is not applied, transparency is dropped.

    Grey in 16 bits is scaled to 8.

    :param max_pixels: the most that are unpacked; None for what Pillow considers safe
    :raises InputError: if it is damaged, of no known format, of more pixels than are allowed, or holds numbers whose
        black and white are not known (32-bit integers, floats)
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            limit = Image.MAX_IMAGE_PIXELS if max_pixels is None else max_pixels
            if limit is not None and image.width * image.height > limit:
                raise InputError(f"{where}: {image.width} x {image.height} pixels; up to {limit} are allowed")
            return _rgb(image, where)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{where}: {error}") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, OverflowError, struct.error) as error:
        # What Pillow's decoders raise on damaged files; UnidentifiedImageError is an OSError.
        known = ", ".join(FORMATS)
        # of a file that is no image at all Pillow names only the buffer it was read from
        reason = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise InputError(f"{where}: not an image that can be decoded ({known}){reason}") from error


def _rgb(image: Image.Image, where: str) -> NDArray[np.uint8]:
    mode = image.mode
    # Pillow's own conversion cuts these off at 255: every pixel of a common 16-bit scan becomes white
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
        bits = image.tag_v2.get(BITS_PER_SAMPLE, (16,))[0] if isinstance(image, TiffImageFile) else 16
        if bits == 16:
            grey = np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8)  # 65535 = 257 x 255
            return np.repeat(grey[..., None], 3, axis=2)
        mode = f"{bits}-bit grey"
    if mode.startswith(("I", "F")) or "-bit" in mode:
        raise InputError(f"{where}: {mode} pixels have no known black and white; save it with 8 bits per channel")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))  # converting copies whatever the mode


def _inside(name: str, roots: FileRoots, where: str) -> Path:
    """The path of an image file.

    The name's spelling alone decides whether it leaves the folder: links inside it are the user's and are
    followed, and the path opened has no `..` left that could leave it through a link.
    """
    if os.path.isabs(name) or PureWindowsPath(name).anchor:
        path = Path(os.path.normpath(name))
        if not any(path.is_relative_to(root) for root in roots.absolute):
            raise InputError(f"{where}: {name!r} is an absolute path; write it relative to the data's folder")
        candidates = [path]
    else:
        flat = os.path.normpath(name)
        if flat.split(os.sep)[0] == os.pardir:
            raise InputError(f"{where}: {name!r} leads out of the data's folder, which is refused")
        candidates = [root / flat for root in roots.relative]
    for candidate in candidates:
        if os.path.isfile(candidate):  # False, where Path.is_file raises, for a name that is too long
            return candidate
    tried = " or ".join(str(candidate) for candidate in candidates)
    raise InputError(f"{where}: no image file {tried or repr(name)}")
