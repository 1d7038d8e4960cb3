"""The BentoML service around one artifact; what it takes and answers follows from the artifact's task."""

from typing import Any

import serve  # noqa: F401  first: it turns BentoML's usage tracking off

# isort: split
import bentoml
from _bentoml_sdk.service import Service
from bentoml._internal.configuration import get_quiet_mode
from bentoml._internal.utils.analytics import usage_stats
from starlette.types import ASGIApp

from ftc.errors import InputError
from ftc.runtimes.session import available_cores
from serve import bundle, journal
from serve.api import Api
from serve.inside import Inside
from serve.openapi import document
from serve.worker import allow_connections, end_with_parent

# `bentoml serve` may have looked before this module set the variable
usage_stats.do_not_track.cache_clear()

try:
    BUNDLE = bundle.here().on(available_cores())
except InputError as error:
    raise ImportError(str(error)) from error  # the one kind that BentoML reports without a traceback

INSIDE = Inside(BUNDLE)


class _WithApi(Service[Any]):  # type: ignore[misc]  # BentoML is untyped here
    """A service whose own paths are answered before BentoML's middleware."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        app = super().to_asgi(is_main)
        return Api(app, INSIDE, document(BUNDLE)) if is_main else app


class Lifecycle:
    """Answers with one label for each text or image, as the packaged artifact does."""

    def __init__(self) -> None:
        allow_connections()
        end_with_parent()
        journal.begin(quiet=get_quiet_mode())
        INSIDE.open()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """BentoML calls it when every accepted request has been answered."""
        INSIDE.close()

    async def __is_ready__(self) -> bool:
        """Whether every model answered its golden examples as it should when the service started."""
        return INSIDE.is_ready

    async def __is_alive__(self) -> bool:
        """Whether the threads that run the model live, and none is stuck."""
        return INSIDE.is_alive


FtcService = _WithApi(
    name="ftc",
    config={"http": {"host": "127.0.0.1"}, "workers": BUNDLE.settings.workers or 1},
    inner=Lifecycle,
    envs=[
        {"name": "BENTOML_DO_NOT_TRACK", "value": "True"},
        # read by the command in the image: nobody reaches a container's loopback
        {"name": "BENTOML_HOST", "value": "0.0.0.0"},
    ],
)
