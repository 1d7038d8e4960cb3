"""The edge bundle: one archive with everything that a release pipeline puts on a device, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftc import whole_file
from ftc.artifact import Artifact, open_artifact
from ftc.console import progress
from ftc.errors import InputError, RunError
from serve import archive, requirements
from serve.contents import DECODER, MODEL_FILES, contents, needs


@dataclass(frozen=True, slots=True)
class EdgeBundle:
    """:param replayed: golden examples that the decoder, in a process of its own, answered to 1e-5"""

    path: str
    size_bytes: int
    sha256: str
    artifact: str
    replayed: int
    requirements: tuple[str, ...]


def package_edge(artifact: Artifact, target: Path, measured: Mapping[str, Any] | None = None) -> EdgeBundle:
    """Write a `.tar.gz` that holds model, preprocessing, labels, golden examples, card, sums, SBOM and a decoder.

    :param target: the archive's path; None of it is there before the decoder has answered the golden examples
    :param measured: the leaderboard's row for this artifact, if there is one
    :raises InputError: if the artifact is of another format, or something stands at `target`
    :raises RunError: if the decoder answers otherwise
    """
    manifest = artifact.manifest
    if manifest.format not in MODEL_FILES or not manifest.files:
        raise InputError(
            f"{artifact.path} is {manifest.format}; an edge bundle holds an ONNX or a TFLite file that ftc made. "
            "Export it first: ftc export, or ftc quantize."
        )
    if os.path.lexists(target):
        raise InputError(f"{target} exists already; choose another place with -o.")
    open_artifact(artifact.path, verify=True)
    pins = requirements.pinned_alone(needs(artifact))
    files = contents(artifact, measured, pins)
    packed = archive.pack(files, f"{manifest.name}-{manifest.id}")
    with progress("replaying the golden examples with the decoder, in a process of its own"):
        replayed = _replayed(files)
    whole_file.write(packed, target)
    return EdgeBundle(
        path=str(target),
        size_bytes=len(packed),
        sha256=hashlib.sha256(packed).hexdigest(),
        artifact=manifest.id,
        replayed=replayed,
        requirements=tuple(pins),
    )


def _replayed(files: Mapping[str, bytes]) -> int:
    """Let the decoder answer the golden examples where nothing of ours can be imported.

    :raises RunError: if it fails, or answers otherwise
    """
    with tempfile.TemporaryDirectory(prefix="ftc-edge-") as scratch:
        for name, content in files.items():
            path = Path(scratch) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        child = subprocess.run(
            [sys.executable, "-P", DECODER, "--replay"], cwd=scratch, env=environment, capture_output=True, text=True
        )
    if child.returncode != 0:
        said = "\n".join(f"  {line}" for line in (child.stdout + child.stderr).splitlines()[-10:])
        raise RunError(f"the edge bundle was not kept: its decoder does not answer as the artifact does:\n{said}")
    return int(json.loads(child.stdout.splitlines()[-1])["replayed"])
