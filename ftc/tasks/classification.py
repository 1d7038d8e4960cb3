"""What text and image classification share: scores, predictions and metrics from logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAIN_METRIC = "accuracy"


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one example.

    :param score: probability of `label`, 0-1
    :param scores: probability of every label, in the order of the model's classes
    """

    label: str
    score: float
    scores: dict[str, float]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis in float64; (N, classes) in, (N, classes) out."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials: np.ndarray = np.exp(shifted)
    shares: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return shares


def predictions(logits: np.ndarray, labels: Sequence[str]) -> list[Prediction]:
    """One prediction for each row of `logits` (N, classes)."""
    answers = []
    for row in probabilities(logits):
        best = int(row.argmax())
        scores = {label: float(value) for label, value in zip(labels, row, strict=True)}
        answers.append(Prediction(labels[best], float(row[best]), scores))
    return answers


def metrics(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Accuracy, macro F1 and, for two classes that both occur, the area under the ROC curve; all 0-1.

    :param logits: (N, classes) float
    :param targets: (N,) int64 class ids
    """
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    chosen = logits.argmax(axis=-1)
    values = {
        MAIN_METRIC: float(accuracy_score(targets, chosen)),
        "macro_f1": float(f1_score(targets, chosen, average="macro", zero_division=0.0)),
    }
    if logits.shape[-1] == 2 and len(np.unique(targets)) == 2:
        values["roc_auc"] = float(roc_auc_score(targets, logits[:, 1] - logits[:, 0]))
    return values
