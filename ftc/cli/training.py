"""Options of every command that trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click

from compress.choices import Decay, TrainingPrecision
from compress.training.schedule import Schedule
from ftc.cli.options import Duration

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--epochs", type=float, help="Passes over the rows.  [default: 3 without a time budget; finetune: 3 to 10]"
    ),
    click.option("--time-budget", "time_budget_s", type=Duration(), metavar="TIME", help="When to end: 90s, 15m, 2h."),
    click.option(
        "--learning-rate", type=float, help="The highest of the body, after warming up.  [default: by its width]"
    ),
    click.option("--batch-size", type=int, help="Rows of one forward pass.  [default: 32]"),
    click.option("--accumulation", type=int, help="Forward passes added up for one step.  [default: 1]"),
    click.option("--warmup", type=float, help="Part of it in which the learning rate rises.  [default: 0.06]"),
    click.option(
        "--decay",
        type=click.Choice(Decay, case_sensitive=False),
        help="How the learning rate falls.  [default: linear]",
    ),
    click.option("--weight-decay", type=float, help="Of matrices.  [default: 0.01]"),
    click.option("--clip", type=float, help="Longest gradient.  [default: 1]"),
    click.option(
        "--training-precision",
        "precision",
        type=click.Choice(TrainingPrecision, case_sensitive=False),
        help="What products are computed in.  [default: bfloat16 where the processor has it]",
    ),
    click.option(
        "--gradient-checkpointing/--no-gradient-checkpointing",
        default=None,
        help="Less memory for more time.  [default: no]",
    ),
    click.option(
        "--quantization-aware/--no-quantization-aware",
        default=None,
        help="Compute with 8-bit numbers, so that weights learn to bear INT8.  [default: no]",
    ),
    click.option(
        "--held-out",
        type=float,
        help="Part of the rows that judges.  [default: 0.1, at most 2,000 rows; finetune: see above]",
    ),
    click.option("--evaluations", type=int, help="How often it judges.  [default: 10]"),
    click.option("--patience", type=int, help="Evaluations without a better score before the end.  [default: no end]"),
    click.option("--train-layers", type=int, help="Train only the last layers and the head; 0: the head alone."),
    click.option(
        "--gradual/--all-at-once", default=None, help="Layers join from last to first.  [default: all at once]"
    ),
    click.option("--layer-decay", type=float, help="Learning rate of a layer over that of the next.  [default: 1]"),
    click.option(
        "--head-rate",
        type=float,
        help="Learning rate of the head over --learning-rate.  [default: 1; finetune: 10, with --lora none]",
    ),
    click.option("--seed", type=int, help="Of dropout and the order of rows.  [default: 0]"),
)

NAMES = tuple(field.name for field in fields(Schedule))
"""Names that the options have as arguments of a command."""


def training_options(command: Command) -> Command:
    """Add the options that every training has."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
