"""Run as `python -m serve.build` inside a staged directory: builds the Bento with BentoML's own API.

A process of its own, so that what BentoML imports is the code that travels, and nothing beside it.
"""

from __future__ import annotations

import json
import sys

LABEL = "packaged_by"


def main() -> None:
    """Read the request as JSON from stdin, build, and write the Bento's path and size as JSON to stdout."""
    import bentoml

    request = json.load(sys.stdin)
    bento = bentoml.build(
        "serve.service:FtcService",
        name=request["name"],
        version=request["version"],
        labels={LABEL: "ftc"},
        description=request["description"],
        # pinned already, all of them: no index is asked while building
        python={"packages": request["packages"], "lock_packages": False},
        build_ctx=".",
    )
    json.dump({"path": bento.path, "size_bytes": bento.total_size()}, sys.stdout)


if __name__ == "__main__":
    main()
