"""Images as a service takes them: decoded, or refused, before rows of several requests meet in a batch."""

import base64
import binascii
from typing import Annotated, Any, Self

import anyio.to_thread
from bentoml import IODescriptor  # noqa: TID253  reached from serve.service alone
from bentoml.exceptions import InvalidArgument  # noqa: TID253
from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ftc.data.images import decode
from ftc.errors import InputError


def _decoded(image: object) -> Any:
    """A file's content, or base64 text of it, as RGB uint8 (H, W, 3)."""
    if isinstance(image, str):
        try:
            image = base64.b64decode(image, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("an image in JSON is the base64 text of an image file") from error
    if not isinstance(image, bytes):
        raise ValueError("an image is an uploaded file, or the base64 text of one")
    try:
        return decode(image, "the image")
    except InputError as error:
        raise ValueError(str(error)) from error


Image = Annotated[
    Any,
    PlainValidator(_decoded),
    # what BentoML's own client looks for to send files, and what OpenAPI calls an upload
    WithJsonSchema({"type": "file", "format": "image"}, mode="validation"),
    WithJsonSchema({"type": "string", "format": "binary"}, mode="serialization"),
]


class ImageRequest(IODescriptor):  # type: ignore[misc]  # BentoML is untyped here
    """Images to classify: uploaded files, or base64 text in JSON."""

    model_config = ConfigDict(extra="forbid")

    images: list[Image] = Field(
        min_length=1,
        description='one or more image files; as JSON: {"images": ["<base64 of a file>", ...]}',
    )

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> Self:
        """Decode in a thread: a large photograph takes longer than many answers do."""
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            return await anyio.to_thread.run_sync(cls.model_validate_json, await request.body() or b"{}")
        try:
            form = await request.form()
        except HTTPException as error:
            raise InvalidArgument(f"the form cannot be read: {error.detail}") from error
        fields = {
            name: [await part.read() if isinstance(part, UploadFile) else part for part in form.getlist(name)]
            for name in form
        }
        return await anyio.to_thread.run_sync(cls.model_validate, fields)


ImageRequest.multipart_fields = ["images"]
