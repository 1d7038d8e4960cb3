"""The model card of a bundle: what the manifest knows and what was measured, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftc.manifest import Manifest

LICENSE_NOTE = """\
decode.py comes from ftc and is under the Apache License 2.0.
The model, its vocabulary and its labels were made from a checkpoint whose licence ftc does not know:
the terms of that checkpoint, and of what it was trained on, hold for them. Put their licence beside this file.
"""


def model_card(manifest: Manifest, measured: Mapping[str, Any] | None) -> str:
    """Markdown."""
    steps = "\n".join(
        f"{number}. {ancestor.name} (id {ancestor.id})"
        + (f", by {ancestor.step.name} {_options(ancestor.step.options)}" if ancestor.step else ", the checkpoint")
        for number, ancestor in enumerate(manifest.lineage, 1)
    )
    parts = [
        f"# {manifest.name}",
        f"Task: {manifest.task}. Labels: {', '.join(manifest.labels)}.",
        f"## Lineage\n\n{steps}",
        f"## Size\n\n{manifest.facts.size_bytes} bytes, {manifest.facts.parameters} parameters.",
        f"## Beside its parent\n\n{_parity(manifest)}",
        f"## Measured\n\n{_measured(measured)}",
    ]
    if manifest.run.requirements:
        parts.append(f"## Processor\n\nNeeds {', '.join(manifest.run.requirements)}.")
    if manifest.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in manifest.notes))
    return "\n\n".join(parts) + "\n"


def _options(options: Mapping[str, Any]) -> str:
    return "(" + ", ".join(f"{name} {value}" for name, value in sorted(options.items())) + ")" if options else ""


def _parity(manifest: Manifest) -> str:
    parity = manifest.parity
    if parity is None:
        return "Not compared."
    return (
        f"Largest difference of an output {parity.max_abs_difference:.3g}, labels agree on "
        f"{100 * parity.label_agreement:.1f} % of {parity.rows} golden rows."
    )


def _measured(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return "Not measured: `ftc bench` measures it, and the next bundle says so here."
    lines = [f"- {name}: {value}" for name, value in _flat(measured)]
    return "A row of the leaderboard, with its conditions:\n\n" + "\n".join(lines)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    entries: list[tuple[str, Any]] = []
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            entries += _flat(value, f"{prefix}{name}.")
        elif value is not None:
            entries.append((prefix + name, value))
    return entries
