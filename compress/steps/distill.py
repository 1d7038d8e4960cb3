"""Distillation: a small network learns to answer as a large one does."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from compress.convolutional import is_convolutional
from compress.parity import answers
from compress.step import Made, result_id
from compress.training import kept
from compress.training.defaults import usual_precision, usual_rate
from compress.training.engine import fit
from compress.training.fragments import without_fragments
from compress.training.objectives import Distance, Distillation
from compress.training.parameters import choose, drop_nothing
from compress.training.rows import Rows, held_out
from compress.training.schedule import Schedule
from compress.training.splices import is_single_text, with_splices
from ftc.artifact import Artifact
from ftc.console import progress
from ftc.errors import InputError
from ftc.huggingface.files import carry
from ftc.huggingface.model import WEIGHTS_FILE, config_of, load_model
from ftc.manifest import RunInstructions
from ftc.tasks.task import open_task

if TYPE_CHECKING:
    from ftc.data import Dataset
    from ftc.tasks.task import Task

LEAST_ROWS = 32

_NO_LABELS = 1.0
"""The weight of the teacher's answers where labels do not count."""

_NEAR_RATE = 0.5
"""Of the usual learning rate, for a student that begins near its teacher; the whole rate would first lead it away.

A third of MiniLM came to 0.033 instead of 0.042 from its teacher's answers (mean divergence) in 1,200 steps.
"""

_AUGMENT = 3
"""Made-up texts for each row, where the teacher alone says what they mean."""

_ALIKE_ROWS = 32
"""Rows on which teacher and student must read the same tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distill(Schedule):
    """The student learns the teacher's answers, and if asked to the states between its layers, and labels.

    :param teacher: a checkpoint for the same task and labels, that reads the same tokens or pixels
    :param temperature: both divide their logits by it
    :param alpha: weight (0-1) of the teacher's answers; the rest is for the labels. With half of each,
        training on SST-2's phrases took a third of MiniLM from 0.8784 to 0.8716 on its sentences; without, to 0.8876
    :param hidden_weight: weight of the states between the layers; these must be equally wide in both
    :param relation_weight: weight of the relations among queries, keys and values of the last layer
    :param dropout: leave the student its dropout; without, it sees just what its teacher sees (Beyer et al., "Knowledge
        distillation: A good teacher is patient and consistent", 2022, section 3): in 1,500 steps three layers
        of MiniLM came to 0.087 instead of 0.113 from their teacher's answers (mean divergence)
    :param fragments: learn on texts, too, that are part of other rows' texts. On the whole ones alone (7,073 of SST-2's
        60,614) 38 % of MiniLM came in seven minutes to 0.025 instead of 0.029 from its teacher's answers to sentences,
        and to 0.011 instead of 0.010 from those to phrases (mean divergence)
    :param augment: for each row, so many texts more that are made of two rows, for the teacher to answer as well (see
        `compress.training.splices`). With three, 37 % of MiniLM came in five minutes to 0.033 instead of 0.038 from its
        teacher's answers to SST-2's test rows (mean divergence), and answered 0.8899 instead of 0.8830 of them rightly
        (benchmarks/augmenting.py)
    """

    teacher: Artifact
    temperature: float = 2.0
    alpha: float = _NO_LABELS
    hidden_weight: float = 0.0
    relation_weight: float = 0.0
    dropout: bool = False
    fragments: bool = False
    augment: int = 0

    name: ClassVar[str] = "distill"
    needs_data: ClassVar[bool] = True
    lossy: ClassVar[bool] = True
    revision: ClassVar[int] = 5

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        if not 0 < self.temperature < math.inf:
            raise InputError(f"--temperature {self.temperature:g}: give a number above 0.")
        if not 0 <= self.alpha <= 1:
            raise InputError(f"--alpha {self.alpha:g}: give the weight of the teacher's answers, from 0 to 1.")
        for name in ("hidden_weight", "relation_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"--{name.replace('_', '-')} {getattr(self, name):g}: give a number from 0.")
        if self.augment < 0:
            raise InputError(f"--augment {self.augment}: give how many texts are made for each row, 0 for none.")
        if self.augment and self.alpha < 1:
            raise InputError(
                f"--augment {self.augment} makes texts that nobody has labelled, and --alpha {self.alpha:g} leaves a "
                "part of the loss to labels: leave out one of them."
            )

    @classmethod
    def for_model(cls, source: Artifact, data: Dataset | None, **given: Any) -> Self:
        """The learning rate and the precision are chosen for the student and for this machine.

        Where labels count, texts that are part of others stay: they have labels of their own. Where they do not, single
        texts are spliced.
        """
        rate = usual_rate(config_of(source)) * (_NEAR_RATE if _begins_near(source, given.get("teacher")) else 1.0)
        fragments = given.get("alpha", _NO_LABELS) < _NO_LABELS
        augment = _AUGMENT if not fragments and data is not None and is_single_text(data) else 0
        usual = {"learning_rate": rate, "precision": usual_precision(), "fragments": fragments, "augment": augment}
        return cls(**{**usual, **given})

    @property
    def suffix(self) -> str:
        return "distilled"

    def run(self, source: Artifact, draft: Path, data: Dataset | None) -> Made:
        if data is None or len(data) < LEAST_ROWS:
            raise InputError(
                f"{self.name} needs at least {LEAST_ROWS} rows, better thousands, labelled or not; "
                f"there are {0 if data is None else len(data)}."
            )
        if self.alpha < 1 and data.labels is None:
            raise InputError(
                f"--alpha {self.alpha:g} leaves a part of the loss to labels, and {data.source} has none: leave it "
                "out, or give rows with labels."
            )
        task = open_task(source)
        self._check_alike(source, task, data)
        if self.hidden_weight and not _comparable(source, self.teacher):
            raise InputError(
                f"--hidden-weight compares states of one width; {source.path} and {self.teacher.path} have others, or "
                "are no transformers. Leave it out."
            )
        training, judged = held_out(data, self.held_out, self.seed)
        training = with_splices(training if self.fragments else _whole(training), self.augment, self.seed)
        student, teacher = load_model(source), load_model(self.teacher)
        choose(student, self)
        if not self.dropout:
            drop_nothing(student)
        distance = Distance(self.temperature, self.alpha, self.hidden_weight, self.relation_weight)
        objective = Distillation(student, teacher, distance, len(training))
        place = draft.parent / f".ftc-training-{result_id(self, source, data)}"
        rows = Rows(training, task, training.labels)
        with kept.claimed(place):
            judge = None if judged is None else Rows(judged, task, self._targets(judged))
            trained = fit(student, objective, rows, judge, self, place)
            student.save_pretrained(draft)
            carry(source.path, draft)
        manifest = source.manifest
        metric = task.main_metric if data.labels is not None else f"agreement with {self.teacher.manifest.name}"
        return Made(
            run=RunInstructions("torch", WEIGHTS_FILE, manifest.run.session_config),
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            facts=replace(manifest.facts, size_bytes=(draft / WEIGHTS_FILE).stat().st_size),
            training=trained.record(
                f"distillation from {self.teacher.manifest.name}",
                metric,
                rows,
                judge,
                teacher_id=self.teacher.manifest.id,
            ),
            left=place,
        )

    def _targets(self, judged: Dataset) -> np.ndarray:
        """The labels of rows, or where they have none what the teacher says: (N,) int64."""
        if judged.labels is not None:
            return judged.labels
        output = self.teacher.manifest.output
        with progress("asking the teacher about the rows held out", len(judged)) as advance:
            found = answers(self.teacher, judged.examples, batch_size=self.batch_size, advance=advance)
        return open_task(self.teacher).chosen({output: found})

    def _check_alike(self, source: Artifact, task: Task, data: Dataset) -> None:
        """:raises InputError: if student and teacher do not read the same, or do not answer with the same labels"""
        teacher = self.teacher
        if teacher.manifest.format != "huggingface":
            raise InputError(f"the teacher {teacher.path} is {teacher.manifest.format}; name a checkpoint.")
        if (teacher.manifest.task, teacher.manifest.labels) != (source.manifest.task, source.manifest.labels):
            raise InputError(
                f"the teacher {teacher.path} answers {', '.join(teacher.manifest.labels[:5])} "
                f"({teacher.manifest.task}), the student {', '.join(source.manifest.labels[:5])} "
                f"({source.manifest.task}). They must be the same, in the same order."
            )
        examples = data.examples[:_ALIKE_ROWS]
        ours, theirs = task.encode(examples), open_task(teacher).encode(examples)
        if ours.keys() != theirs.keys() or not all(np.array_equal(ours[name], theirs[name]) for name in ours):
            raise InputError(
                f"the teacher {teacher.path} reads other tokens or pixels than the student {source.path}. "
                "Name a teacher with the same tokenizer or image processor; trim a vocabulary after distilling."
            )


def _whole(rows: Dataset) -> Dataset:
    found = without_fragments(rows)
    if len(found) < min(LEAST_ROWS, len(rows)):
        raise InputError(
            f"of {len(rows)} rows of {rows.source} all but {len(found)} are part of these; give rows that say more, or "
            "learn on all of them: --fragments."
        )
    return found


def _begins_near(student: Artifact, teacher: Artifact | None) -> bool:
    """Whether the student is its teacher with narrower layers: then it answers nearly alike before it is trained."""
    if teacher is None or teacher.manifest.id != student.manifest.root_id or student.manifest.pruning is None:
        return False
    layers = [getattr(config_of(one), "num_hidden_layers", None) for one in (student, teacher)]
    return layers[0] == layers[1]


def _comparable(student: Artifact, teacher: Artifact) -> bool:
    """Whether states between the layers have the same shape in both."""
    if is_convolutional(student) or is_convolutional(teacher):
        return False
    return bool(config_of(student).hidden_size == config_of(teacher).hidden_size)
