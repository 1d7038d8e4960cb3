"""Training the demo's models from nothing, with transformers' `Trainer`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftc.console import progress
from ftc.quiet import quiet_libraries

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Row = Mapping[str, Any]
WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True)
class Schedule:
    """:param learning_rate: the highest, reached after a tenth of the steps; it falls to zero from there
    :param seed: of the weights, of the order of the rows and of dropout
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int = 0


def fit(
    build: Callable[[], PreTrainedModel],
    rows: Sequence[Row],
    collate: Callable[[Sequence[Row]], Mapping[str, Any]],
    schedule: Schedule,
    *,
    by_length: bool,
) -> PreTrainedModel:
    """Build a model and train it on the processor, with a progress bar.

    One thread computes: sums then come out the same whatever the number of cores, and on a busy machine small
    operations do not wait for a second thread that is not running.

    :param build: makes the model with fresh weights; called once the seed is set
    :param rows: what `collate` makes batches of
    :param by_length: put rows whose `input_ids` are of similar length into one batch
    """
    import torch
    from transformers import Trainer, TrainingArguments, set_seed

    title = f"training for {schedule.epochs} epochs"
    with (
        quiet_libraries(),
        tempfile.TemporaryDirectory(prefix="ftc-demo-") as place,
        progress(title, schedule.epochs * len(rows)) as advance,
    ):

        def collated(batch: Sequence[Row]) -> Mapping[str, Any]:
            advance(len(batch))
            return collate(batch)

        set_seed(schedule.seed)
        model = build()
        arguments = TrainingArguments(
            output_dir=place,
            per_device_train_batch_size=schedule.batch_size,
            num_train_epochs=schedule.epochs,
            learning_rate=schedule.learning_rate,
            warmup_steps=WARMUP_SHARE,
            weight_decay=WEIGHT_DECAY,
            seed=schedule.seed,
            train_sampling_strategy="group_by_length" if by_length else "random",
            use_cpu=True,  # the same weights with and without a GPU in the machine
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            Trainer(model=model, args=arguments, train_dataset=list(rows), data_collator=collated).train()
        finally:
            torch.set_num_threads(threads)
        return model.eval()
