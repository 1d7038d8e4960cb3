"""The one training loop: transformers' `Trainer`, with a pace, a judge, and states to go on from after a kill."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from compress.training import kept
from compress.training.kept import Course
from compress.training.memory import fitting
from compress.training.pace import Pace
from compress.training.parameters import Depths, groups, unfreeze
from compress.training.precision import computing_in
from compress.training.processes import is_any, leave_to_first, share_weights
from compress.training.quantization_aware import fake_quantized
from compress.training.rows import LABELS, Batch, Rows, SimilarLengths
from ftc.console import caution, is_first, progress, say
from ftc.errors import RunError
from ftc.manifest import CurvePoint, TrainingRecord

if TYPE_CHECKING:
    from transformers import EvalPrediction, PreTrainedModel, TrainerControl, TrainerState

    from compress.training.objectives import Objective
    from compress.training.schedule import Schedule
    from ftc.console import Advance

_ENDLESS_EPOCHS = 100_000
_SCORE = "score"


class Diverged(Exception):
    """The loss is no number any more."""


@dataclass(frozen=True, slots=True)
class Trained:
    """How a training went.

    :param ended: what ended it, in words
    """

    course: Course
    ended: str
    test_score: float | None

    def record(
        self,
        objective: str,
        metric: str,
        rows: Rows,
        judged: Rows | None,
        tested: Rows | None = None,
        *,
        teacher_id: str | None = None,
    ) -> TrainingRecord:
        """The training as the manifest tells it.

        :param objective: what was made smaller, in words
        """
        curve, best = self.course.points, self.course.best
        return TrainingRecord(
            objective=objective,
            teacher_id=teacher_id,
            metric=None if judged is None else metric,
            score_before=curve[0].score,
            score_after=None if best is None else best.score,
            rows=len(rows),
            held_out=0 if judged is None else len(judged),
            kept_step=curve[-1].step if best is None else best.step,
            seconds=self.course.spent_s,
            ended=self.ended,
            curve=curve,
            test_score=self.test_score,
            test_rows=0 if tested is None else len(tested),
        )


def fit(
    model: PreTrainedModel,
    objective: Objective,
    rows: Rows,
    judged: Rows | None,
    schedule: Schedule,
    place: Path,
    tested: Rows | None = None,
) -> Trained:
    """Train those weights of a network that want a gradient, in place, and leave it with the best of them.

    A run that was killed is gone on with where its last state was written, about once a minute: with epochs and no time
    budget, it ends where it would have ended.

    :param judged: labelled rows whose score says which weights are best; None to take the last weights
    :param place: a directory that this very training alone uses, for its states
    :param tested: labelled rows whose score with the best weights is told, and decides nothing
    :raises InputError: if a run that was killed had another number of processes
    :raises RunError: if the loss becomes NaN before anything was better than at the beginning
    :raises SystemExit: in every process but the first, where several train together
    """
    with fake_quantized(model) if schedule.quantization_aware else nullcontext():
        arguments = _arguments(schedule, place)
        if arguments.world_size == 1:
            schedule = fitting(model, objective, rows, schedule, arguments.device)
        trained = _fit(model, objective, rows, judged, schedule, place, tested)
    model.eval().requires_grad_(False)
    return trained


def _fit(
    model: PreTrainedModel,
    objective: Objective,
    rows: Rows,
    judged: Rows | None,
    schedule: Schedule,
    place: Path,
    tested: Rows | None,
) -> Trained:
    set_seed(schedule.seed)
    state = kept.last_state(place)
    arguments = _arguments(schedule, place)
    batch_size = arguments.train_batch_size  # of all the graphics processors that this process has
    step_rows = batch_size * schedule.accumulation * arguments.world_size
    course = Course((), 0.0, processes=arguments.world_size, step_rows=step_rows)
    if state is not None:
        kept.check_alike(state, arguments.world_size, step_rows)
        course = replace(state.course, processes=arguments.world_size, step_rows=step_rows)
        objective.restore(state.path)
        say(f"going on from step {state.step} of a run that was stopped")
    elif kept.has_best(place):
        say("a run that was stopped had kept no state yet: beginning anew")
    sampler = SimilarLengths(rows.lengths(), batch_size * schedule.accumulation, schedule.seed)
    batches = math.ceil(math.ceil(len(rows) / batch_size) / arguments.world_size)
    pace = Pace(schedule, math.ceil(batches / schedule.accumulation), course.spent_s, course.judging_s)
    pace.tick(0 if state is None else state.step)
    arguments.max_steps = -1 if pace.steps is None else pace.steps
    arguments.num_train_epochs = _ENDLESS_EPOCHS
    engine = _Engine(model, arguments, objective, rows, judged, sampler, schedule, pace)
    engine.losses.extend(course.losses)
    run = _Run(engine, schedule, pace, place, course)
    with progress("training", pace.units()) as advance:
        run.advance = advance
        try:
            run.train(state)
        except Diverged as error:
            run.ended = _after_divergence(error, run.course, place)
    if run.course.best is not None:
        if is_first():
            kept.restore_best(place, model, run.course.best.step)
            if run.course.best.step == 0 < run.course.points[-1].step:
                caution(
                    "no evaluation was better than the one at the beginning: the result has the weights that it began "
                    "with. Give more rows, a longer --time-budget or more --epochs."
                )
        share_weights(model)
    trained = Trained(run.course, run.ended, None if tested is None else engine.score(tested))
    leave_to_first()
    return trained


def _arguments(schedule: Schedule, place: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(place),
        use_cpu=not torch.cuda.is_available(),
        per_device_train_batch_size=schedule.batch_size,
        per_device_eval_batch_size=2 * schedule.batch_size,
        gradient_accumulation_steps=schedule.accumulation,
        ddp_find_unused_parameters=schedule.gradual or None,  # layers that wait for their time have no gradient
        max_grad_norm=schedule.clip,
        activation_checkpointing=schedule.gradient_checkpointing,
        seed=schedule.seed,
        label_names=[LABELS],
        remove_unused_columns=False,
        save_strategy="no",  # states are written, and weights judged, when the run asks for it
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _after_divergence(error: Diverged, course: Course, place: Path) -> str:
    best = course.best
    advice = "Lower the learning rate, or look for broken rows."
    if best is None or best.step == 0:
        kept.forget(place)  # to go on from there would end the same way
        raise RunError(f"{error}, and no weights before it were better than those it began with. {advice}") from error
    caution(f"{error}; the weights of step {best.step}, the best before it, are kept. {advice}")
    return str(error)


class _Engine(Trainer):  # type: ignore[misc]
    """Transformers' loop with our order of rows, our loss, our groups of weights and our pace."""

    def __init__(
        self,
        model: PreTrainedModel,
        arguments: TrainingArguments,
        objective: Objective,
        rows: Rows,
        judged: Rows | None,
        sampler: SimilarLengths,
        schedule: Schedule,
        pace: Pace,
    ) -> None:
        self.sampler = sampler
        self.depths = Depths.of(model)
        self.judged = judged
        self.objective = objective
        self._schedule = schedule
        self._pace = pace
        self.losses: list[float] = []
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=rows,
            data_collator=Rows.collate,
            compute_metrics=self._score,
        )
        self.model_accepts_loss_kwargs = False  # the loss is a mean: gradients of several batches are averaged
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, train_dataset: Any = None) -> SimilarLengths:
        return self.sampler

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        self.optimizer = torch.optim.AdamW(groups(self.model, self.depths, self._schedule), fused=True)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda _: self._schedule.rate(self._pace.share)
        )
        return self.lr_scheduler

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        batch = Batch.of(inputs)
        if return_outputs:  # judged by its answers alone
            logits = model(**batch.inputs).logits
            return torch.nn.functional.cross_entropy(logits, inputs[LABELS]), {"loss": None, "logits": logits}
        # not by the trainer's own setting, which would judge in bfloat16 what is kept in float32
        with computing_in(self._schedule.precision, self.args.device):
            loss = self.objective(model, batch)
        value = float(loss.detach())
        if is_any(not math.isfinite(value)):
            raise Diverged(f"the loss became NaN or infinite at step {self.state.global_step + 1}")
        self.losses.append(value)
        return loss

    def score(self, rows: Rows) -> float:
        """The task's main metric on labelled rows."""
        return float(self.evaluate(rows)[f"eval_{_SCORE}"])

    def _score(self, answers: EvalPrediction) -> dict[str, float]:
        task = self.train_dataset.task
        return {_SCORE: task.score({"logits": answers.predictions}, answers.label_ids)[task.main_metric]}


class _Run(TrainerCallback):  # type: ignore[misc]
    """When one run judges, keeps and ends, and the course it takes."""

    def __init__(self, engine: _Engine, schedule: Schedule, pace: Pace, place: Path, course: Course) -> None:
        self.course = course
        self.ended = ""
        self.advance: Advance = lambda by=1: None
        self._engine = engine
        self._schedule = schedule
        self._pace = pace
        self._place = place
        self._shown = 0
        self._saved_best = None if course.best is None else course.best.step
        engine.add_callback(self)

    def train(self, state: kept.State | None) -> None:
        """:raises Diverged: if the loss becomes NaN"""
        if state is None:
            self._judge(0, 0.0)
        self._engine.train(resume_from_checkpoint=None if state is None else str(state.path))

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._engine.sampler.epoch = int(state.epoch or 0)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._schedule.gradual:
            unfreeze(self._engine.model, self._engine.depths, self._pace.share)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._pace.tick(state.global_step + 1)  # before the learning rate is asked for

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        step, share = state.global_step, self._pace.share
        reached = self._pace.reached(step)
        self.advance(reached - self._shown)
        self._shown = reached
        if self._pace.is_judging_due(len(self.course.points)):
            self._judge(step, state.epoch or 0.0)
        if share >= 1:
            self._end(control, "the epochs" if step == self._pace.steps else "the time budget")
        elif self._is_stalled():
            self._end(control, f"{self._schedule.patience} evaluations without a better score")
        elif self._pace.is_saving_due:
            self._pace.saving()
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        losses = tuple(self._engine.losses)
        self.course = replace(self.course, spent_s=self._pace.elapsed_s, losses=losses, judging_s=self._pace.judging_s)
        if state.is_world_process_zero:
            self._engine.objective.save(kept.state_path(self._place, state.global_step))
            kept.complete(self._place, state.global_step, self.course)
        self._saved_best = None if self.course.best is None else self.course.best.step
        self._pace.saved()

    def _end(self, control: TrainerControl, by: str) -> None:
        self.ended = by
        self.course = replace(self.course, spent_s=self._pace.elapsed_s, losses=())
        control.should_training_stop = True

    def _is_stalled(self) -> bool:
        best, patience = self.course.best, self._schedule.patience
        if best is None or patience is None:
            return False
        return sum(point.step > best.step for point in self.course.points) >= patience

    def _judge(self, step: int, epoch: float) -> None:
        self._pace.judging()
        losses, before = self._engine.losses, self.course.best
        loss = sum(losses) / len(losses) if losses else None
        losses.clear()
        score = None if self._engine.judged is None else self._engine.score(self._engine.judged)
        points = (*self.course.points, CurvePoint(step, epoch, loss, score))
        self.course = replace(self.course, points=points, spent_s=self._pace.elapsed_s, losses=())
        better = self.course.best is not before
        if better and self._engine.is_world_process_zero():
            kept.keep_best(self._place, self._engine.model, step, self._saved_best)
        self._pace.judged()
        if loss is not None:
            judged = "" if score is None else f", score {score:.4f}{' (best so far)' if better else ''}"
            say(f"  {self._pace.share:4.0%}  step {step}: loss {loss:.4f}{judged}")
