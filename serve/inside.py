"""What a running service holds: the opened model, its engine, and its counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftc.runtimes.session import available_cores
from ftc.tasks import TASKS
from serve import journal
from serve.engine import Engine
from serve.metrics import Metrics
from serve.model import Model

if TYPE_CHECKING:
    from ftc.tasks.classification import Prediction
    from ftc.tasks.encoding import Encoded
    from serve.bundle import Bundle


MAX_BODY_BYTES = {True: 2**20, False: 2**24}
"""Of texts, and of images, unless the settings say otherwise."""


MAX_BATCH_SIZE = 8
"""Rows that a thread takes at once unless the settings say otherwise; twice as many were no faster on one thread.

Taken together and run alone, single texts cost a tenth less than taken one by one: threads change less often.
"""


class Inside:
    """Opened when the service starts, closed when it has answered its last request.

    `wrong` says what the model answered otherwise than it should; None if it is right. `batches` says whether rows go
    through the model together; alone if that would change their answers.
    """

    model: Model
    engine: Engine
    metrics: Metrics
    wrong: str | None
    batches: bool

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.settings = bundle.settings
        self.is_text = TASKS.load(bundle.artifact.manifest.task).modality == "text"
        self.preparing_threads = available_cores()
        self.max_body_bytes = bundle.settings.max_body_bytes or MAX_BODY_BYTES[self.is_text]

    def open(self) -> None:
        """Load the model, let it answer its golden examples, and start the engine."""
        manifest = self._bundle.artifact.manifest
        self.model = Model.open(self._bundle)
        self.metrics = Metrics(manifest.task, manifest.labels)
        self.wrong = self.model.self_check()
        if self.wrong is not None:
            journal.failed("not ready", reason=self.wrong)
        self.batches = self.settings.max_batch_size is not None or self.model.rows_are_independent()
        self.engine = self.new_engine()
        self.engine.start()
        journal.write(
            "started",
            name=manifest.name,
            id=manifest.id,
            callers=self.model.callers,
            batches=self.batches,
        )

    def new_engine(self) -> Engine:
        """An engine for the opened model, not started."""
        return Engine(
            self._answer,
            callers=self.model.callers,
            max_batch_size=self.settings.max_batch_size or MAX_BATCH_SIZE,
            max_queue=self.settings.max_queue,
            max_latency_s=self.settings.max_latency_ms / 1e3,
        )

    def _answer(self, rows: Sequence[Encoded]) -> list[Prediction]:
        if self.batches:
            self.metrics.batch_rows.observe(len(rows))
            return self.model.answer(rows)
        for _ in rows:
            self.metrics.batch_rows.observe(1)
        return self.model.answer_alone(rows)

    def close(self) -> None:
        """Answer what still waits, and say goodbye."""
        self.engine.close()
        journal.write("stopped")

    @property
    def is_alive(self) -> bool:
        return self.engine.is_alive

    def count(self, rows: Sequence[Encoded], predictions: Sequence[Prediction]) -> None:
        """Count what was asked and answered."""
        for row, prediction in zip(rows, predictions, strict=True):
            self.metrics.input_length.observe(row.length)
            self.metrics.answers[prediction.label].inc()
            if row.truncated:
                self.metrics.truncated.inc()
