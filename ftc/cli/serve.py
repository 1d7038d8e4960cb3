"""`ftc serve`"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("target", required=False, metavar="[ARTIFACT|BENTO_TAG]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for the network.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port to listen on.")
@click.option("--threads", type=click.IntRange(1), help="Threads of an artifact's model.  [default: by runtime]")
def serve(target: str | None, host: str, port: int, threads: int | None) -> None:
    """Serve the Bento packaged last, another one, or an artifact without packaging it.

    \b
    ftc serve                                     what ftc package built last
    ftc serve ckpt-onnx-dynamic-int8:latest     a Bento
    ftc serve artifacts/minilm-sst2-onnx          an artifact, or a checkpoint

    \b
    With FTC_API_KEY set, requests must carry the key in the header X-API-Key.
    """
    from bench.winner import measured
    from ftc.artifact import is_artifact, open_artifact
    from ftc.foreign.files import refuse
    from serve.bundle import Settings
    from serve.foreground import serve_forever

    if target is not None:
        refuse(Path(target), "served")
    row = None
    if target is not None and is_artifact(Path(target)):
        # results lie beside the artifacts they are of
        row = measured(open_artifact(Path(target)), Path(target).absolute().parent)
    serve_forever(target, host, port, Settings(threads=threads, measured=row))
