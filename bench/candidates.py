"""Which candidates are measured: artifacts with a common root, that root, and model files of other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ftc.artifact import Artifact, find_artifacts, is_artifact
from ftc.checkpoint import open_any
from ftc.console import caution, say
from ftc.declared import Declared
from ftc.errors import InputError
from ftc.foreign.files import is_foreign
from ftc.keras.files import is_keras
from ftc.measurement import Candidate
from ftc.runtimes.variant import ON_CUDA, Variant
from ftc.tasks.encoding import TOKENIZER_FILE


def select(
    paths: Sequence[Path], artifacts: Path, root: Path | None = None, declared: Declared | None = None
) -> tuple[Artifact, ...]:
    """The candidates, their root first if it is to be had, model files of other programs last.

    Of such a file, what is not declared is taken from the artifacts or the checkpoint among the paths.

    :param paths: artifacts, checkpoints or model files; none means every artifact in `artifacts`
    :param root: where the checkpoint is now; None means where it was when the artifacts were made
    :param declared: what the user says of a checkpoint among the paths; an artifact of it says the same
    :raises InputError: if there is nothing, if the roots or the labels differ, or if `root` is another checkpoint
    """
    chosen = _opened(paths, declared or Declared()) or find_artifacts(artifacts)
    if not chosen:
        searched = artifacts / "search"
        raise InputError(
            f"{artifacts} holds no artifacts. Make one first: ftc quantize CHECKPOINT; or name their "
            "directory with --artifacts, or what to measure as arguments."
            + (f" Those of ftc optimize lie in {searched}." if searched.is_dir() else "")
        )
    family, files = _apart(_unique(chosen))
    _check_one_root(family)
    if family:
        named = tuple(artifact for artifact in family if artifact.manifest.is_root)
        roots = named or _root_of(family[0], root)
        if paths and not named and roots:
            say(f"{roots[0].path}, the checkpoint, is measured as well, to compare with")
        family = (*roots, *(artifact for artifact in family if not artifact.manifest.is_root))
    elif len(files) > 1:
        say(f"all were made elsewhere: {files[0].manifest.name}, the first named, is what the others are compared with")
    _check_same_labels((*family, *files))
    return (*family, *files)


def _unique(artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
    """One artifact of each id, the first; the others are named."""
    unique: dict[str, Artifact] = {}
    for artifact in artifacts:
        first = unique.setdefault(artifact.manifest.id, artifact)
        if first is not artifact:
            say(f"{artifact.path} is left out: it has the same id as {first.path}, {artifact.manifest.id}")
    return tuple(unique.values())


def _apart(artifacts: Sequence[Artifact]) -> tuple[tuple[Artifact, ...], tuple[Artifact, ...]]:
    """Those of a common root, and model files of other programs that none of them was made of."""
    used = {artifact.manifest.root_id for artifact in artifacts if not artifact.manifest.is_root}
    files = tuple(
        artifact
        for artifact in artifacts
        if artifact.manifest.is_root and artifact.manifest.is_foreign and artifact.manifest.id not in used
    )
    return tuple(artifact for artifact in artifacts if artifact not in files), files


def roots_declared(artifacts: Sequence[Artifact]) -> Mapping[str, Declared]:
    """By the path of each root of the artifacts, what opens it again."""
    return {artifact.manifest.root_path: Declared.of_root(artifact.manifest) for artifact in artifacts}


def _opened(paths: Sequence[Path], declared: Declared) -> tuple[Artifact, ...]:
    made = {path: open_any(path) for path in paths if is_artifact(path)}
    known = {} if declared != Declared() else roots_declared(tuple(made.values()))
    files = [path for path in paths if path not in made and is_foreign(path)]
    for path in paths:
        if path not in made and path not in files:
            # beside model files, what was declared is of them: a Hugging Face checkpoint says it itself
            said = declared if is_keras(path) or not files else Declared(declared.task)
            made[path] = open_any(path, known.get(str(path.resolve()), said))
    family = tuple(made.values())
    if files and len({artifact.manifest.root_id for artifact in family}) == 1:
        declared = _as_of(family, declared)
    for path in files:
        made[path] = open_any(path, known.get(str(path.resolve()), declared))
    return tuple(made[path] for path in paths)


def _as_of(family: Sequence[Artifact], declared: Declared) -> Declared:
    """What was declared of model files, and for the rest what holds for the artifacts or the checkpoint beside them."""
    manifest, kind = family[0].manifest, family[0].manifest.preprocessing.kind
    labels, preprocessing, tokenizer = declared.labels, None, declared.tokenizer
    taken = []
    if labels is None:
        labels = manifest.labels
        taken.append("labels")
    if kind == "image" and declared.processor is None:
        preprocessing = manifest.preprocessing
        taken.append("preprocessing")
    if kind == "text" and tokenizer is None:
        preprocessing = manifest.preprocessing
        tokenizer = next((file for artifact in family if (file := artifact.path / TOKENIZER_FILE).is_file()), None)
        taken.append("tokenizer")
    if taken:
        say(f"{' and '.join(taken)} of the model files taken from {manifest.name}")
    return Declared(declared.task or manifest.task, labels, declared.processor, tokenizer, preprocessing)


def _check_same_labels(artifacts: Sequence[Artifact]) -> None:
    reference = artifacts[0].manifest
    for artifact in artifacts:
        manifest = artifact.manifest
        if manifest.task != reference.task:
            raise InputError(
                f"{artifact.path} is for {manifest.task}, {artifacts[0].path} for {reference.task}: "
                "they cannot be compared."
            )
        if manifest.labels != reference.labels:
            order = " in another order" if set(manifest.labels) == set(reference.labels) else ""
            raise InputError(
                f"{artifact.path} has other labels{order} than {artifacts[0].path}: "
                f"{', '.join(manifest.labels[:4])}, ... against {', '.join(reference.labels[:4])}, ... "
                "Rows are scored by the number of a label, so they must be the same in the same order."
            )


def _check_one_root(artifacts: Sequence[Artifact]) -> None:
    families: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        families.setdefault(artifact.manifest.root_id, []).append(artifact)
    if len(families) > 1:
        listed = "\n".join(
            f"  of {members[0].manifest.lineage[0].name} (id {root}): "
            + " ".join(str(member.path) for member in members)
            for root, members in families.items()
        )
        raise InputError(
            "these artifacts come from different checkpoints, whose accuracies cannot be compared:\n"
            f"{listed}\nName those of one of them: ftc bench PATH PATH --data FILE"
        )


def _root_of(artifact: Artifact, given: Path | None) -> tuple[Artifact, ...]:
    manifest = artifact.manifest
    path = given or Path(manifest.root_path)
    if given is None and not path.exists():
        caution(
            f"the checkpoint is no longer at {path}; going on without it. "
            "Say where it is with --root PATH to compare with it."
        )
        return ()
    root = open_any(path, Declared.of_root(manifest))
    if root.manifest.id == manifest.root_id:
        return (root,)
    changed = (
        f"{path} is not the checkpoint that {artifact.path} was made from "
        f"(id {root.manifest.id}, it was {manifest.root_id})"
    )
    if given is not None:
        raise InputError(f"{changed}. Give that checkpoint, or leave --root out.")
    caution(f"{changed}: it was changed since. Going on without it; make the artifacts again to compare.")
    return ()


def described(artifact: Artifact, root_id: str, variant: Variant | None = None) -> Candidate:
    """A candidate as it is written into results.

    :param root_id: of the root that candidates are compared with: model files of other programs are roots besides it
    :param variant: how it is executed on a GPU; what others are compared with is executed plainly
    """
    manifest = artifact.manifest
    related = manifest.root_id == root_id
    # parity is with the parent: it tells of nothing lost since the root only for the root's own children
    exported = len(manifest.lineage) == 2 and manifest.parity is not None and not manifest.parity.lossy
    plain = variant is None or variant is ON_CUDA[manifest.run.runtime][0]
    exact = variant is None or variant.is_exact
    return Candidate(
        id=manifest.id if variant is None else f"{manifest.id}-{variant}",
        name=manifest.name if variant is None else f"{manifest.name} {variant}",
        path=str(artifact.path.resolve()),
        format=manifest.format,
        runtime=manifest.run.runtime,
        lossless=related and exact and (manifest.is_root or exported),
        is_root=related and plain and manifest.is_root,
        size_bytes=manifest.facts.size_bytes,
        lineage=manifest.lineage,
        variant=str(variant) if variant is not None else None,
        sha256=next((entry.sha256 for entry in manifest.files if entry.path == manifest.run.entry), None),
    )
