"""What a service tells of itself at `/metadata`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from serve.shadow_process import SHADOW_THREADS

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from serve.bundle import Bundle
    from serve.inside import Inside
    from serve.variant import Variant


def about(inside: Inside, bundle: Bundle) -> dict[str, Any]:
    """JSON values: what is served, and the settings that hold, whether they were given, measured or the usual ones.

    Of two models each is told of, the first at the top as well.

    :param inside: opened
    """
    settings, second = bundle.settings, bundle.second
    held = {
        **asdict(settings),
        **_held(inside.first),
        "workers": settings.workers or 1,
        "batch_wait_ms": settings.batch_wait_ms or 0.0,
        "max_body_bytes": inside.max_body_bytes,
    }
    told = _about(bundle.artifact, settings.measured)
    if second is not None:
        ours, theirs = bundle.names
        alone = {"threads": settings.threads or SHADOW_THREADS, "callers": 1, "max_batch_size": 1}
        told["variants"] = [
            {"variant": ours, "role": "first", "share": 1 - second.share, **told, **_held(inside.first)},
            {
                "variant": theirs,
                "role": second.role,
                "share": second.share,
                **_about(second.artifact, second.measured),
                **(alone if inside.second is None else _held(inside.second)),
            },
        ]
    return {**told, **held}


def _held(variant: Variant) -> dict[str, int]:
    return {
        "threads": variant.model.threads,
        "callers": variant.model.callers,
        "max_batch_size": variant.max_batch_size if variant.batches else 1,
    }


def _about(artifact: Artifact, measured: Mapping[str, Any] | None) -> dict[str, Any]:
    manifest = artifact.manifest
    return {
        "name": manifest.name,
        "id": manifest.id,
        "task": manifest.task,
        "labels": list(manifest.labels),
        "format": manifest.format,
        "runtime": manifest.run.runtime,
        "lineage": [
            {"name": ancestor.name, "id": ancestor.id, "step": ancestor.step.name if ancestor.step else None}
            for ancestor in manifest.lineage
        ],
        "size_bytes": manifest.facts.size_bytes,
        "measured": measured,
    }
