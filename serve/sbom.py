"""A software bill of materials in CycloneDX 1.6: the files of a bundle, and the packages that its decoder runs on."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ftc import __version__

if TYPE_CHECKING:
    from ftc.manifest import Manifest


def cyclonedx(manifest: Manifest, files: Mapping[str, bytes], pins: Sequence[str]) -> dict[str, Any]:
    """The document as JSON values; without times and random numbers, so that equal bundles have equal ones.

    :param pins: `name==version` of packages
    """
    packages = [pin.split("==") for pin in pins]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, manifest.id)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "machine-learning-model",
                "bom-ref": manifest.id,
                "name": manifest.name,
                "version": manifest.id,
                "pedigree": {
                    "ancestors": [
                        {"type": "machine-learning-model", "name": ancestor.name, "version": ancestor.id}
                        for ancestor in manifest.lineage[:-1]
                    ]
                },
            },
            "tools": {"components": [{"type": "application", "name": "ftc", "version": __version__}]},
        },
        "components": [
            *(
                {
                    "type": "library",
                    "bom-ref": f"pkg:pypi/{name}@{version}",
                    "name": name,
                    "version": version,
                    "purl": f"pkg:pypi/{name}@{version}",
                }
                for name, version in packages
            ),
            *(
                {
                    "type": "file",
                    "bom-ref": f"file:{name}",
                    "name": name,
                    "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
                }
                for name, content in sorted(files.items())
            ),
        ],
        "dependencies": [
            {"ref": manifest.id, "dependsOn": [f"pkg:pypi/{name}@{version}" for name, version in packages]}
        ],
    }
