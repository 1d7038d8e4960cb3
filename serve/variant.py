"""One model that answers requests: opened, with its engine and its counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from serve import journal
from serve.engine import Engine
from serve.metrics import Families, Metrics
from serve.model import Model

if TYPE_CHECKING:
    from ftc.tasks.classification import Prediction
    from ftc.tasks.encoding import Encoded
    from serve.bundle import Bundle

MAX_BATCH_SIZE = 8
"""Rows that a thread takes at once unless the settings say otherwise; twice as many were no faster on one thread.

Taken together and run alone, single texts cost a tenth less than taken one by one: threads change less often.
"""


class Variant:
    """Opened when the service starts, closed when it has answered its last request.

    `wrong` says what the model answered otherwise than it should; None if it is right. `batches` says whether rows go
    through the model together; alone if that would change their answers.
    """

    def __init__(self, name: str, bundle: Bundle, families: Families) -> None:
        """Load the model, let it answer its golden examples, and start the engine."""
        self.name, self.settings = name, bundle.settings
        self.header = quote(name).encode()  # headers hold no other letters
        manifest = bundle.artifact.manifest
        self.model = Model.open(bundle)
        self.metrics = Metrics(families, manifest.task, name, manifest.labels)
        self.wrong = self.model.self_check()
        if self.wrong is not None:
            journal.failed("not ready", variant=name, reason=self.wrong)
        self.batches = self.settings.max_batch_size is not None or self.model.rows_are_independent()
        self.max_batch_size = self.settings.max_batch_size or MAX_BATCH_SIZE
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
            max_batch_size=self.max_batch_size,
            max_queue=self.settings.max_queue,
            max_latency_s=self.settings.max_latency_ms / 1e3,
            batch_wait_s=(self.settings.batch_wait_ms or 0.0) / 1e3,
        )

    def _answer(self, rows: Sequence[Encoded]) -> list[Prediction]:
        if self.batches:
            self.metrics.batch_rows.observe(len(rows))
            return self.model.answer(rows)
        for _ in rows:
            self.metrics.batch_rows.observe(1)
        return self.model.answer_alone(rows)

    def count(self, rows: Sequence[Encoded], predictions: Sequence[Prediction]) -> None:
        """Count what was asked and answered."""
        for row, prediction in zip(rows, predictions, strict=True):
            self.metrics.input_length.observe(row.length)
            self.metrics.answers[prediction.label].inc()
            if row.truncated:
                self.metrics.truncated.inc()
