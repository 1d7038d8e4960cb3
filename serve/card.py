"""The model card of a bundle: what the manifest knows and what was measured, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from serve.markdown import plain, value
from serve.measured_card import measured_card

if TYPE_CHECKING:
    from ftc.manifest import Manifest, StepRecord

LICENSE_NOTE = """\
decode.py comes from ftc and is under the Apache License 2.0.
The model, its vocabulary and its labels were made from a checkpoint whose licence ftc does not know:
the terms of that checkpoint, and of what it was trained on, hold for them. Put their licence beside this file.
"""


def model_card(manifest: Manifest, measured: Mapping[str, Any] | None) -> str:
    """Markdown."""
    steps = "\n".join(
        f"{number}. {plain(ancestor.name)} (id {ancestor.id}), "
        + (_made_by(ancestor.step) if ancestor.step is not None else "the checkpoint")
        for number, ancestor in enumerate(manifest.lineage, 1)
    )
    parts = [
        f"# {plain(manifest.name)}",
        f"Task: {manifest.task}. Labels: {', '.join(map(plain, manifest.labels))}.",
        f"## Lineage\n\n{steps}",
        f"## Size\n\n{manifest.facts.size_bytes} bytes, {manifest.facts.parameters} parameters.",
        f"## Beside its parent\n\n{_parity(manifest)}",
        f"## Measured\n\n{_measured(measured)}",
    ]
    if manifest.run.requirements:
        parts.append(f"## Processor\n\nNeeds {', '.join(manifest.run.requirements)}.")
    if manifest.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {plain(note)}" for note in manifest.notes))
    return "\n\n".join(parts) + "\n"


def _made_by(step: StepRecord) -> str:
    options = "".join(f"\n   - {plain(name)}: {value(given)}" for name, given in sorted(step.options.items()))
    return f"by {step.name}{options}"


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
    return measured_card(measured)
