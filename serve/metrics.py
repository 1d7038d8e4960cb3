"""What a service counts for Prometheus, by task and by the model that answered."""

from __future__ import annotations

import bentoml

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_POWERS = tuple(2.0**power for power in range(11))
_SHARES = (1e-5, 1e-4, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

_BY = ("task", "variant")


class Families:
    """All metrics of one process; BentoML's `/metrics` adds those of all of them up."""

    def __init__(self) -> None:
        self.seconds = bentoml.metrics.Histogram(
            "ftc_request_seconds", "From a request's head to its answer", [*_BY, "status"], buckets=_SECONDS
        )
        self.rows = bentoml.metrics.Histogram("ftc_batch_rows", "Rows of one run of the model", _BY, buckets=_POWERS)
        self.length = bentoml.metrics.Histogram(
            "ftc_input_length", "Tokens of a text, pixels of an image's longer side", _BY, buckets=_POWERS
        )
        self.answered = bentoml.metrics.Counter("ftc_answers", "Answers by label", [*_BY, "label"])
        self.truncated = bentoml.metrics.Counter("ftc_truncated_texts", "Texts that were cut", _BY)


class Metrics:
    """The counters of one model.

    Label counts show when what is asked, or what is answered, drifts from what it was.
    """

    def __init__(self, families: Families, task: str, variant: str, labels: tuple[str, ...]) -> None:
        self._by, self._seconds = (task, variant), families.seconds
        self.batch_rows = families.rows.labels(*self._by)
        self.input_length = families.length.labels(*self._by)
        self.truncated = families.truncated.labels(*self._by)
        self.answers = {label: families.answered.labels(*self._by, label) for label in labels}
        self._of_status = {200: families.seconds.labels(*self._by, 200)}

    def request(self, status: int, took_s: float) -> None:
        """Count a request to `/predict`."""
        if status not in self._of_status:
            self._of_status[status] = self._seconds.labels(*self._by, status)
        self._of_status[status].observe(took_s)


class ShadowMetrics:
    """The counters of a shadow: what it answered, how that compares, and what it did not get to."""

    def __init__(self, task: str, variant: str, labels: tuple[str, ...]) -> None:
        by = (task, variant)
        self.seconds = bentoml.metrics.Histogram(
            "ftc_shadow_seconds", "What the shadow took for a copy of a request", _BY, buckets=_SECONDS
        ).labels(*by)
        answered = bentoml.metrics.Counter("ftc_shadow_answers", "The shadow's answers by label", [*_BY, "label"])
        self.answers = {label: answered.labels(*by, label) for label in labels}
        disagreed = bentoml.metrics.Counter(
            "ftc_shadow_disagreements", "Answers with another label, by that of the first model", [*_BY, "label"]
        )
        self.disagreements = {label: disagreed.labels(*by, label) for label in labels}
        self.difference = bentoml.metrics.Histogram(
            "ftc_shadow_score_difference", "Largest difference of a score in an answer", _BY, buckets=_SHARES
        ).labels(*by)
        dropped = bentoml.metrics.Counter(
            "ftc_shadow_dropped",
            "Copies that were not compared: the queue was full, or the shadow failed",
            [*_BY, "why"],
        )
        self.dropped = {why: dropped.labels(*by, why) for why in ("full", "failed")}
