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
"""Rows of one run unless the settings say otherwise; twice as many were no faster on one thread."""


class Inside:
    """Opened when the service starts, closed when it has answered its last request.

    `wrong` says what the model answered otherwise than it should; None if it is right.
    """

    model: Model
    engine: Engine
    metrics: Metrics
    wrong: str | None
    max_batch_size: int

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
        independent = self.model.rows_are_independent()
        self.max_batch_size = self.settings.max_batch_size or (MAX_BATCH_SIZE if independent else 1)
        self.engine = self.new_engine()
        self.engine.start()
        journal.write(
            "started",
            name=manifest.name,
            id=manifest.id,
            callers=self.model.callers,
            max_batch_size=self.max_batch_size,
        )

    def new_engine(self) -> Engine:
        """An engine for the opened model, not started."""
        return Engine(
            self.model.answer,
            callers=self.model.callers,
            max_batch_size=self.max_batch_size,
            max_queue=self.settings.max_queue,
            max_latency_s=self.settings.max_latency_ms / 1e3,
            ran=self.metrics.batch_rows.observe,
        )

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
