"""A service on this machine until Ctrl-C: a Bento from the store, or an artifact as it is."""

from __future__ import annotations

import ipaddress
import sys
import tempfile
from pathlib import Path

from ftc.console import caution, say, verbosity
from ftc.errors import RunError, Terminated
from serve import access, store
from serve.bundle import Settings, form_of
from serve.context import stage
from serve.example import curl
from serve.server import require_free, running

DRAIN_S = 75.0
"""What a service may take to answer what it has accepted: more than the minute that an answer may take by default."""


def serve_forever(target: str | None, host: str, port: int, settings: Settings) -> None:
    """Serve, say when the service is ready and how to ask it, and return after Ctrl-C.

    :param target: an artifact or checkpoint, a Bento's tag, or None for the Bento packaged last
    :param settings: for artifacts; a Bento has its own
    :raises InputError: if there is nothing to serve, or the port is taken
    :raises RunError: if the service does not become ready or ends by itself
    """
    require_free(host, port)
    if access.required_key() is None and not ipaddress.ip_address(host).is_loopback:
        caution(f"anybody who reaches {host} can ask; set {access.VARIABLE} to require a key")
    with tempfile.TemporaryDirectory(prefix="ftc-serve-") as place:
        if target is not None and Path(target).exists():
            from ftc.checkpoint import open_any

            stage(open_any(Path(target)), settings, Path(place))
            source = "serve.service:FtcService"
        else:
            tag = store.latest() if target is None else store.find(target)
            source = store.path_of(tag)
        say(f"starting {target or tag}")
        # a home of its own, by which its metrics are its own, too
        with running(
            source,
            Path(place),
            host,
            port,
            sys.stderr,
            home=Path(place),
            quiet=not verbosity.libraries,
            patience_s=DRAIN_S,
        ) as server:
            try:
                server.wait_until_ready()
                about = server.get("/metadata")
                example = curl(
                    about["task"], server.url, form_of(about["measured"]), needs_key=access.required_key() is not None
                )
                say(f"ready at {server.url} (Ctrl-C ends it); try:\n  {example}")
                code = server.process.wait()
            except (KeyboardInterrupt, Terminated):
                say("stopping, when what was accepted is answered; Ctrl-C again ends it at once")
                return
            raise RunError(f"the service ended by itself with code {code}")
