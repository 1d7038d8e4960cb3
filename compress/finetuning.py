"""Fine-tuning: a pretrained network with a fresh head, trained on labels, becomes a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from compress.apply import existing, versions
from compress.training import kept
from compress.training.defaults import usual_precision, usual_rate
from compress.training.engine import fit
from compress.training.lora import adapted, matrices, merged
from compress.training.objectives import Labels
from compress.training.parameters import choose
from compress.training.rows import Rows, apart
from compress.training.schedule import Schedule
from ftc.artifact import Artifact, check_replaceable, content_id, draft, is_artifact, seal
from ftc.checkpoint import open_any
from ftc.data.splits import stratified
from ftc.errors import InputError
from ftc.huggingface.base import Base, open_base, with_fresh_head
from ftc.huggingface.files import carry
from ftc.manifest import Ancestor, DataRecord, TrainingRecord
from ftc.quiet import quiet_libraries
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ftc.data import Dataset

LEAST_ROWS = 20
_METHOD = "finetune@3"
_TEST_SHARE = 0.1
_VALIDATION_SHARE = 0.2
_VALIDATION_SHARE_BESIDE_TEST = 0.1
_MOST_VALIDATION = 500
"""About; every class has one of them. More would choose between weights little better, and train none."""

_FRESH_RATE = 10.0
"""Learning rate of a fresh head, and of low-rank updates, over that of weights that have been trained."""

_USUAL_STEPS = 700
_USUAL_STEPS_OF_CLASS = 13
_USUAL_EPOCHS = (3.0, 10.0)
"""Of a MiniLM, 6 epochs of TREC (6 classes, 906 steps) did as well as 10: 0.962 and 0.958 of 500 test rows. On
Banking77 (77 classes) 1,782 steps did better than 1,974 with a slower head: 0.928 and 0.920 of 3,080."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuning(Schedule):
    """:param lora: rank of the low-rank updates that are trained in place of the weights; None trains the weights"""

    lora: int | None = None

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        if self.lora is not None and self.lora < 1:
            raise InputError(f"--lora {self.lora}: give the rank of the updates, such as 16.")
        if self.lora is not None and (self.train_layers is not None or self.gradual):
            raise InputError("--lora trains its own weights: leave out --train-layers and --gradual.")
        if self.lora is not None and self.head_rate != 1:
            raise InputError("--lora trains its updates and the head at one rate: leave out --head-rate.")
        if self.lora is not None and self.quantization_aware:
            raise InputError(
                "--quantization-aware would round the updates of --lora apart from the weights that they are added to: "
                "leave out one."
            )

    @classmethod
    def for_base(cls, base: Base, rows: int, classes: int, **given: Any) -> Self:
        """Passes for 700 steps and 13 for each class, between 3 and 10; what begins from nothing learns fast."""
        usual: dict[str, Any] = {"precision": usual_precision(), "learning_rate": usual_rate(base.config)}
        if given.get("lora") is None and given.get("train_layers") != 0:
            usual["head_rate"] = _FRESH_RATE
        else:
            usual["learning_rate"] *= _FRESH_RATE
        if "epochs" not in given and "time_budget_s" not in given:
            per_epoch = rows / (given.get("batch_size", cls().batch_size) * given.get("accumulation", 1))
            least, most = _USUAL_EPOCHS
            steps = _USUAL_STEPS + _USUAL_STEPS_OF_CLASS * classes
            usual["epochs"] = float(min(most, max(least, round(steps / per_epoch))))
        return cls(**{**usual, **given})


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Rows that train, that say which weights are best, and that say how good these are."""

    training: Dataset
    validation: Dataset | None
    test: Dataset


def finetune(
    base_path: Path,
    output: Path,
    *,
    data: Dataset,
    validation: Dataset | None = None,
    test: Dataset | None = None,
    given: dict[str, Any] | None = None,
    force: bool = False,
) -> Artifact:
    """Train a pretrained text encoder or image model to tell the classes of the data.

    :param base_path: a Hugging Face directory, with a head of its own or without one
    :param output: where the checkpoint goes
    :param data: labelled rows; 7 : 2 : 1 of each class train, validate and test, as far as no rows are given for that;
        beside rows that test, a tenth validates, or about 500 if that is fewer
    :param given: options of `Finetuning` that the user gave
    :raises InputError: if the base cannot be used, or the rows are too few or not labelled
    """
    with quiet_libraries():
        base = open_base(base_path)
    given = given or {}
    Finetuning(**given)  # what makes no sense is said before anything is made
    if validation is not None and "held_out" in given:
        raise InputError(
            f"--held-out takes rows of {data.source} to judge with, and --validation names others: leave out one."
        )
    parts = _parts(data, validation, test, given.get("held_out"), given.get("seed", 0))
    options = Finetuning.for_base(base, len(parts.training), len(data.classes), **given)
    recorded = _recorded(options) | {"classes": list(data.classes)}  # fingerprints know their numbers alone
    new_id = content_id(base.id, _METHOD, recorded, _fingerprint(parts))
    check_replaceable(output)
    if is_artifact(output) and not force:
        return existing(output, new_id)
    with quiet_libraries():
        model = with_fresh_head(base, data.classes, options.seed)
        choose(model, options)
        if options.lora is not None:
            matrices(model)  # refused before anything is written
    with draft(output) as directory, quiet_libraries():
        _save(model, base_path, directory)
        # whatever keeps the result from being opened as a checkpoint is found before the training
        task = open_task(open_any(directory))
        place = output.absolute().parent / f".ftc-training-{new_id}"
        with kept.claimed(place):
            if options.lora is not None:
                model = adapted(model, options.lora)
            rows, tested = (Rows(part, task, part.labels) for part in (parts.training, parts.test))
            judged = None if parts.validation is None else Rows(parts.validation, task, parts.validation.labels)
            trained = fit(model, Labels(), rows, judged, options, place, tested)
            if options.lora is not None:
                model = merged(model)
            record = trained.record("labels", task.main_metric, rows, judged, tested)
            _save(model, base_path, directory)
            made = _sealed(directory, output, new_id, record, parts.training, force)
            kept.forget(place)
        return made


def _sealed(
    directory: Path, output: Path, new_id: str, record: TrainingRecord, training: Dataset, force: bool
) -> Artifact:
    manifest = open_any(directory).manifest
    return seal(
        directory,
        output,
        replace(
            manifest,
            id=new_id,
            name=output.name,
            lineage=(Ancestor(new_id, output.name, manifest.format, None),),
            root_path=str(output.resolve()),
            training=record,
            data=DataRecord(training.source, training.fingerprint, len(training)),
            versions=versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        replace_existing=force,
    )


def _save(model: PreTrainedModel, base: Path, directory: Path) -> None:
    model.save_pretrained(directory)
    carry(base, directory)


def _parts(data: Dataset, validation: Dataset | None, test: Dataset | None, share: float | None, seed: int) -> Parts:
    """:raises InputError: if the rows are too few for their classes"""
    if len(data) < LEAST_ROWS:
        raise InputError(
            f"{data.source} has {len(data)} rows; fine-tuning takes at least {LEAST_ROWS}, better hundreds."
        )
    if validation is not None and test is not None:
        validation = apart(validation, [test])
    training = apart(data, [part for part in (validation, test) if part is not None])
    has_test = test is not None
    if test is None:
        training, test = stratified(training, _TEST_SHARE, seed)
    if validation is None and share != 0:
        left = 1.0 if has_test else 1.0 - _TEST_SHARE
        if share is None:
            beside_test = min(_VALIDATION_SHARE_BESIDE_TEST, _MOST_VALIDATION / len(training))
            share = beside_test if has_test else _VALIDATION_SHARE
        if share >= left:
            raise InputError(
                f"--held-out {share:g}: {_TEST_SHARE:g} of the rows test, none are left to learn from. Hold out less."
            )
        training, validation = stratified(training, share / left, seed)
    if len(training) < LEAST_ROWS // 2:
        raise InputError(f"only {len(training)} rows of {data.source} are left to learn from; hold out less.")
    return Parts(training, validation, test)


def _fingerprint(parts: Parts) -> str:
    present = [part for part in (parts.training, parts.validation, parts.test) if part is not None]
    return " ".join(part.fingerprint for part in present)


def _recorded(options: Finetuning) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, str) else value for name, value in asdict(options).items()}
