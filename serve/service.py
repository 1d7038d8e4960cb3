"""The BentoML service around one artifact; what it takes and answers follows from the artifact's task."""

import logging
from http import HTTPStatus
from typing import Any

import serve  # noqa: F401  first: it turns BentoML's usage tracking off

# isort: split
import bentoml
from bentoml._internal.utils.analytics import usage_stats
from bentoml.exceptions import BentoMLException, ServiceUnavailable
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from ftc.errors import InputError
from ftc.tasks import TASKS
from ftc.tasks.classification import Prediction
from serve import bundle

logger = logging.getLogger("bentoml.serve")

# `bentoml serve` may have looked before this module set the variable
usage_stats.do_not_track.cache_clear()


def _is_ours(record: logging.LogRecord) -> bool:
    """Leave what a client did wrong to the access log: its traceback would repeat what the client sent."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, BentoMLException):
        return bool(error.error_code >= HTTPStatus.INTERNAL_SERVER_ERROR)
    return not isinstance(error, ValidationError | ClientDisconnect)


logging.getLogger("bentoml._internal.server.http_app").addFilter(_is_ours)

try:
    BUNDLE = bundle.here()
except InputError as error:
    raise ImportError(str(error)) from error  # the one kind that BentoML reports without a traceback

ABOUT = bundle.about(BUNDLE)

# each needs libraries that the other kind of service does not have
if TASKS.load(BUNDLE.artifact.manifest.task).modality == "text":
    from serve.texts import TextRequest as Request
else:
    from serve.images import ImageRequest as Request


async def _metadata(request: HttpRequest) -> JSONResponse:
    return JSONResponse(ABOUT)


@bentoml.service(name="ftc", envs=[{"name": "BENTOML_DO_NOT_TRACK", "value": "True"}])
@bentoml.asgi_app(Starlette(routes=[Route("/metadata", _metadata, methods=["GET"])]))
class FtcService:
    """Answers with one label for each text or image, as the packaged artifact does."""

    def __init__(self) -> None:
        from serve.model import Model

        self._model = Model.open(BUNDLE)
        self._wrong = self._model.self_check()
        if self._wrong is not None:
            logger.error("not ready: %s", self._wrong)

    async def __is_ready__(self) -> bool:
        """Whether the model answered its golden examples as it should when the service started."""
        return self._wrong is None

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=True,
        max_batch_size=BUNDLE.settings.max_batch_size,
        max_latency_ms=BUNDLE.settings.max_latency_ms,
        input_spec=Request,
    )
    def predict(self, examples: list[Any]) -> list[Prediction]:
        """Classify texts or images. Answers come in the order of the inputs, with every label's score (0-1).

        Rows of concurrent requests go through the model together.
        """
        if self._wrong is not None:
            raise ServiceUnavailable(self._wrong)
        return self._model.predict(examples)

    @bentoml.api  # type: ignore[untyped-decorator]
    def metadata(self) -> dict[str, Any]:
        """What is served: name, id, task, labels, lineage, settings, what was measured. GET works, too."""
        return ABOUT
