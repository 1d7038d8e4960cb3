"""How artifacts are shown to a person."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftc import manifest as manifests
from ftc.console import caution, counted, plain, say

if TYPE_CHECKING:
    from ftc.artifact import Artifact
    from ftc.manifest import Manifest, ParityRecord, PruningRecord, RunInstructions, TrainingRecord


def size(size_bytes: int) -> str:
    """A size in decimal units, as file managers and registries count."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} bytes"


def count(number: int) -> str:
    """A large count, such as 22.7 M."""
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return str(number)


_DOUBTFUL = 0.9
"""Share of the golden rows; below it a reader wonders whether the model is broken."""


def made(artifact: Artifact, as_json: bool) -> None:
    """Print what a step made, and what to do next."""
    manifest = artifact.manifest
    if as_json:
        summary = {
            "path": str(artifact.path),
            "id": manifest.id,
            "size_bytes": manifest.facts.size_bytes,
            "parity": asdict(manifest.parity) if manifest.parity is not None else None,
            "pruning": asdict(manifest.pruning) if manifest.pruning is not None else None,
            "training": asdict(manifest.training) if manifest.training is not None else None,
        }
        click.echo(json.dumps(summary))
        return
    click.echo(f"{artifact.path}  {size(manifest.facts.size_bytes)}  id {manifest.id}")
    if manifest.parity is not None:
        click.echo(f"  {parity(manifest.parity)}")
        if manifest.parity.label_agreement < _DOUBTFUL:
            say("  golden rows are made up: ftc bench --data TEST_ROWS measures what is lost on yours")
    if manifest.format == "huggingface":
        told = training(manifest.training) if manifest.training else []
        for line in told or (pruning(manifest.pruning) if manifest.pruning else []):
            click.echo(f"  {line}")
        click.echo(f"  next: ftc quantize {artifact.path}")
        if manifest.pruning is not None and manifest.training is None:
            click.echo(f"    or: ftc distill {artifact.path} --data TRAIN_ROWS, to win back what pruning cost")
        return
    for need in manifest.run.requirements:
        caution(f"{artifact.path} needs {need}")
    elsewhere = "" if artifact.path.parent == Path("artifacts") else f" --artifacts {artifact.path.parent}"
    click.echo(f"  next: ftc bench --data TEST_ROWS{elsewhere}")


def parity(record: ParityRecord) -> str:
    """One line on how an artifact compares with its parent."""
    kind = "with its parent" if record.lossy else "parity with its parent"
    return (
        f"{kind}: largest difference of an output {record.max_abs_difference:.2g}, labels agree on "
        f"{record.label_agreement:.0%} of {record.rows} golden rows "
        f"(batches of {', '.join(map(str, record.batch_sizes))})"
    )


def pruning(record: PruningRecord) -> list[str]:
    """What was cut out of a network and what it cost, one line each."""
    lines = [f"parameters {count(record.parameters_before)} -> {count(record.parameters_after)}"]
    if record.multiply_accumulates_before and record.multiply_accumulates_after:
        saved = record.multiply_accumulates_before, record.multiply_accumulates_after
        lines[0] += f", multiply-accumulates {count(saved[0])} -> {count(saved[1])}"
    for kind in dict.fromkeys(cut.kind for cut in record.removed):
        cuts = [cut for cut in record.removed if cut.kind == kind]
        of = " ".join(str(cut.after) for cut in cuts)
        where = " in each layer" if len(cuts) > 1 else ""
        lines.append(f"{kind} left{where}: {of} (of {', '.join(sorted({str(cut.before) for cut in cuts}))})")
    if record.score_before is not None and record.score_after is not None:
        lines.append(
            f"{record.metric} {record.score_before:.4f} -> {record.score_after:.4f} on {record.rows} rows that decided "
            "nothing"
        )
    if record.speed is not None:
        speed = record.speed
        lines.append(
            f"{speed.measured:.2f}x as fast with {speed.runtime} at length {speed.length}, in float "
            f"({speed.target:g}x was asked for, {speed.predicted:.2f}x predicted)"
        )
    return lines


def training(record: TrainingRecord) -> list[str]:
    """How a network was trained and what it brought, one line each."""
    last = record.curve[-1]
    lines = [
        f"{record.objective}, {counted(record.rows, 'row')}, {counted(last.step, 'step')} ({last.epoch:.1f} epochs), "
        f"ended by {record.ended}"
    ]
    if record.score_before is not None and record.score_after is not None:
        lines.append(
            f"{record.metric} {record.score_before:.4f} -> {record.score_after:.4f} on {record.held_out} rows held out "
            f"(step {record.kept_step}, the best of {len(record.curve)} evaluations)"
        )
    if record.test_score is not None:
        lines.append(f"{record.metric or 'score'} {record.test_score:.4f} on {record.test_rows} test rows")
    return lines


def description(artifact: Artifact) -> str:
    """Everything `ftc inspect` shows."""
    manifest = artifact.manifest
    facts = manifest.facts
    operations = facts.multiply_accumulates
    labels = ", ".join(manifest.labels[:10]) + (f", ... ({len(manifest.labels)})" if len(manifest.labels) > 10 else "")
    rows = [
        ("id", manifest.id),
        ("path", str(artifact.path)),
        ("format", manifest.format),
        ("task", manifest.task),
        ("labels", labels),
        ("parameters", count(facts.parameters) if facts.parameters else "not known"),
        ("size", size(facts.size_bytes)),
        (
            "multiply-accumulates",
            f"{count(operations)} for {facts.reference_input}" if operations else "not countable for this architecture",
        ),
        *((f"input {spec.name}", f"{spec.dtype} {_shape(spec.shape)}") for spec in manifest.inputs),
        *((f"output {spec.name}", f"{spec.dtype} {_shape(spec.shape)}") for spec in manifest.outputs),
        ("preprocessing", _preprocessing(manifest)),
        *_lineage(manifest),
        *([(_used(manifest), f"{manifest.data.rows} rows of {manifest.data.source}")] if manifest.data else []),
        *([("parity", parity(manifest.parity))] if manifest.parity else []),
        *(("pruned", line) for line in (pruning(manifest.pruning) if manifest.pruning else [])),
        *(("trained", line) for line in (training(manifest.training) if manifest.training else [])),
        *(("note", note) for note in manifest.notes),
        *(("needs", need) for need in manifest.run.requirements),
        ("run with", _instructions(artifact)),
        *([("made", f"{manifest.created} with {_versions(manifest)}")] if manifest.created else []),
        *(
            (f"file {entry.path}", f"{size(entry.size_bytes)}  sha256 {entry.sha256[:16]}...")
            for entry in manifest.files
        ),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(
        [plain(manifest.name), *(plain(f"  {name:<{width}}  {value}".replace("\n", r"\n")) for name, value in rows)]
    )


def _used(manifest: Manifest) -> str:
    """What the rows of a manifest's data were for."""
    last = manifest.lineage[-1].step
    return "trained on" if last is None or last.name == "distill" else "measured on"


def _shape(shape: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _preprocessing(manifest: Manifest) -> str:
    spec = manifest.preprocessing
    if spec.kind == "text":
        return f"tokenizer.json, at most {spec.max_length} tokens, padded on the {spec.padding_side}"
    scaled = "" if spec.scale is None else f", times {spec.scale:.4g}"
    moved = f", plus {spec.offset:g}" if spec.offset else ""
    normal = "" if spec.mean is None and spec.std is None else f", mean {spec.mean}, std {spec.std}"
    return f"{spec.height} x {spec.width} pixels, {spec.layout}{scaled}{moved}{normal}"


def _lineage(manifest: Manifest) -> list[tuple[str, str]]:
    rows = [("root", f"{manifest.lineage[0].name}  id {manifest.root_id}  {manifest.root_path}")]
    for link in manifest.lineage[1:]:
        assert link.step is not None, "only the root has no step"
        chosen = ", ".join(f"{name}={value}" for name, value in link.step.options.items())
        rows.append(("-> step", f"{link.step.name} ({chosen})  id {link.id}"))
    return rows


def _instructions(artifact: Artifact) -> str:
    run = artifact.manifest.run
    if artifact.manifest.is_foreign and artifact.manifest.is_root:
        prefix = manifests.IN_FILE
        names = [
            f"{key.removeprefix(prefix)} is its {value!r}"
            for key, value in run.session_config.items()
            if key.startswith(prefix) and key != prefix + value
        ]
        return f"{run.runtime}{': ' if names else ''}{', '.join(names)}"
    if artifact.manifest.is_root and run.runtime == "keras":
        return "keras.saving.load_model; ftc export and ftc quantize make what can be served"
    if artifact.manifest.format == "huggingface" and not artifact.manifest.is_root:
        return f"ftc serve {artifact.path}; in code of your own: ftc.checkpoint.load({str(artifact.path)!r})"
    file = "the directory" if run.entry == "." else run.entry
    return f"ftc serve {artifact.path}; in code of your own: {run.runtime} on {file}{_settings(run)}"


def _settings(run: RunInstructions) -> str:
    if run.runtime != "onnxruntime":
        return "".join(f", {key}={value}" for key, value in run.session_config.items())
    entries = [f"add_session_config_entry({key!r}, {value!r})" for key, value in run.session_config.items()]
    return f" with SessionOptions on which you call {', '.join(entries)}" if entries else ""


def _versions(manifest: Manifest) -> str:
    return ", ".join(f"{name} {version}" for name, version in (manifest.versions or {}).items())
