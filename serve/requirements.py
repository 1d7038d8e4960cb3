"""The Python packages that a service needs, pinned to the versions it was checked with."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from ftc.errors import InputError, MissingExtra
from ftc.huggingface.timm_network import LIBRARY, TIMM

if TYPE_CHECKING:
    from ftc.manifest import Manifest

ALWAYS = ("bentoml", "numpy", "pydantic")
# uvicorn's event loop and HTTP parser where they are there: what was checked with them is pinned with them
WHERE_INSTALLED = ("uvloop", "httptools")
MODALITY = {"text": ("tokenizers",), "image": ("pillow",)}
# to package another runtime: a line here
RUNTIME = {
    "onnxruntime": ("onnxruntime",),
    "litert": ("ai-edge-litert",),
    "openvino": ("openvino",),
    "torch": ("torch", "transformers", "safetensors"),
}


def direct(*manifests: Manifest) -> tuple[str, ...]:
    """What a service itself imports for these artifacts.

    :raises InputError: if services cannot run an artifact's runtime
    """
    needed = list(ALWAYS)
    for manifest in manifests:
        runtime = manifest.run.runtime
        if runtime not in RUNTIME:
            raise InputError(
                f"{manifest.name} runs on {runtime!r}; Bentos are built for {', '.join(RUNTIME)}. "
                "Export it to one of their formats: ftc export."
            )
        wrapped = (TIMM,) if manifest.run.session_config.get(LIBRARY) == TIMM else ()
        needed += [*MODALITY[manifest.preprocessing.kind], *RUNTIME[runtime], *wrapped]
    return tuple(dict.fromkeys([*needed, *filter(_is_installed, WHERE_INSTALLED)]))


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def pinned(names: Sequence[str]) -> list[str]:
    """The named packages and all that they need here, as `name==version`, the named ones first.

    Everything is pinned, so that an image built next year holds what was checked today. Local versions
    (`2.13.0+cpu`) lose their suffix: the public index does not know them.

    :raises MissingExtra: if a package is not installed
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    versions: dict[str, str] = {}
    waiting = [Requirement(name) for name in names]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop(0)
        for extra in ("", *sorted(wanted.extras)):
            name = str(canonicalize_name(wanted.name))
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                distribution = metadata.distribution(name)
            except metadata.PackageNotFoundError as error:
                raise MissingExtra("packaging", name, "serve") from error
            versions[name] = distribution.version.partition("+")[0]
            needs = map(Requirement, distribution.requires or ())
            waiting += [need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})]
    return [f"{name}=={version}" for name, version in versions.items()]


def pinned_alone(names: Sequence[str]) -> list[str]:
    """The named packages as `name==version`, without what they need.

    :raises MissingExtra: if a package is not installed
    """
    return [pin for pin in pinned(names) if pin.partition("==")[0] in names]


def installed_bytes(pins: Sequence[str]) -> int:
    """What pinned packages take on this disk, code and libraries, without compiled Python."""
    size_bytes = 0
    for pin in pins:
        for file in metadata.files(pin.partition("==")[0]) or ():
            path = Path(str(file.locate()))
            if file.suffix != ".pyc" and path.is_file():
                size_bytes += path.stat().st_size
    return size_bytes
