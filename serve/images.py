"""Images as a service takes them: uploaded files, or base64 text of them in JSON."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from ftc.data.images import decode
from ftc.errors import InputError
from serve.refusal import Refusal
from serve.request import ALL_SCORES, FORM_TYPE, Asked, read_object, require_count, require_json

if TYPE_CHECKING:
    from starlette.types import Message

KEY = "images"

MAX_PIXELS = 50_000_000
"""Of all images of one request together: a file of some kilobytes can unpack to gigabytes."""

MAX_ASPECT = 100
"""Longer side over shorter: resizing the shorter one to a model's size would make a line of pixels gigantic."""

_FLAGS = {"true": True, "false": False}


async def read_form(body: bytes, headers: Mapping[bytes, bytes], max_items: int) -> tuple[list[bytes], bool]:
    """The files of an upload, and whether all scores are asked for.

    :raises Refusal: 4xx if it is no form, or has other fields than `images` and `all_scores`
    """

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    request = Request({"type": "http", "headers": list(headers.items())}, receive)
    try:
        async with request.form(max_files=max_items, max_fields=max_items, max_part_size=len(body) + 1) as form:
            if set(form) - {KEY, ALL_SCORES}:
                raise Refusal(400, f'the only fields of the form are "{KEY}" and "{ALL_SCORES}"')
            flag = form.get(ALL_SCORES, "false")
            if not isinstance(flag, str) or flag not in _FLAGS:
                raise Refusal(400, f'"{ALL_SCORES}" must be true or false')
            parts = form.getlist(KEY)
            if not all(isinstance(part, UploadFile) for part in parts):
                raise Refusal(400, f'"{KEY}" must be uploaded as files')
            return [await part.read() for part in parts if isinstance(part, UploadFile)], _FLAGS[flag]
    except MultiPartException as error:
        raise Refusal(400, f"the form cannot be read: {error.message}") from error
    except HTTPException as error:
        raise Refusal(400, f"the form cannot be read: {error.detail}") from error


def read_base64(body: bytes, kind: str, max_items: int) -> tuple[list[bytes], bool]:
    """The files in a JSON body, and whether all scores are asked for.

    :raises Refusal: 4xx with the reason, and the place of the image that is wrong
    """
    require_json(kind, f" or {FORM_TYPE}")
    asked = read_object(body, KEY)
    images = [asked[KEY]] if isinstance(asked[KEY], str) else asked[KEY]
    if not isinstance(images, list):
        raise Refusal(400, f'"{KEY}" must be the base64 text of an image file, or a list of them')
    require_count(len(images), max_items, "image")
    return [_from_base64(image, place) for place, image in enumerate(images)], asked.get(ALL_SCORES, False)


def _from_base64(image: object, place: int) -> bytes:
    try:
        if isinstance(image, str):
            return base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError):
        pass  # told below, in the same words as what is no string
    raise Refusal(400, f"{KEY}[{place}] must be the base64 text of an image file")


def decoded(files: Sequence[bytes], all_scores: bool, max_items: int) -> Asked:
    """The images in files.

    :raises Refusal: 400 if one is no image that can be decoded, 413 if there are too many or too large ones
    """
    require_count(len(files), max_items, "image")
    left = MAX_PIXELS
    images: list[Any] = []
    for place, file in enumerate(files):
        try:
            image = decode(file, f"{KEY}[{place}]", max_pixels=left)
        except InputError as error:
            raise Refusal(400, str(error)) from error
        if max(image.shape[:2]) > MAX_ASPECT * min(image.shape[:2]):
            raise Refusal(400, f"{KEY}[{place}] is more than {MAX_ASPECT} times as long as it is wide")
        left -= math.prod(image.shape[:2])
        images.append(image)
    return Asked(images, all_scores)
