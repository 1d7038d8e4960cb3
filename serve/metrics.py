"""What a service counts for Prometheus, by task."""

from __future__ import annotations

import bentoml

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_POWERS = tuple(2.0**power for power in range(11))


class Metrics:
    """Counters of one process; BentoML's `/metrics` adds those of all of them up.

    Label counts show when what is asked, or what is answered, drifts from what it was.
    """

    def __init__(self, task: str, labels: tuple[str, ...]) -> None:
        seconds = bentoml.metrics.Histogram(
            "ftc_request_seconds", "From a request's head to its answer", ["task", "status"], buckets=_SECONDS
        )
        rows = bentoml.metrics.Histogram("ftc_batch_rows", "Rows of one run of the model", ["task"], buckets=_POWERS)
        length = bentoml.metrics.Histogram(
            "ftc_input_length", "Tokens of a text, pixels of an image's longer side", ["task"], buckets=_POWERS
        )
        answered = bentoml.metrics.Counter("ftc_answers", "Answers by label", ["task", "label"])
        truncated = bentoml.metrics.Counter("ftc_truncated_texts", "Texts that were cut", ["task"])
        self._task, self._seconds = task, seconds
        self.batch_rows = rows.labels(task)
        self.input_length = length.labels(task)
        self.truncated = truncated.labels(task)
        self.answers = {label: answered.labels(task, label) for label in labels}
        self._of_status = {200: seconds.labels(task, 200)}

    def request(self, status: int, took_s: float) -> None:
        """Count a request to `/predict`."""
        if status not in self._of_status:
            self._of_status[status] = self._seconds.labels(self._task, status)
        self._of_status[status].observe(took_s)
