"""What text and image classification share: scores, predictions and metrics from a model's outputs.

Outputs are named ``"logits"``, or ``"probabilities"`` where the model itself ends in a softmax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def probabilities(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N, classes) float64; the softmax of logits, or what the model itself says."""
    if "probabilities" in outputs:
        return outputs["probabilities"].astype(np.float64)
    logits = outputs["logits"]
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials: np.ndarray = np.exp(shifted)
    shares: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return shares


def chosen(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,) int64, the class with the largest logit or probability."""
    classes: np.ndarray = _answers(outputs).argmax(axis=-1)
    return classes


def _answers(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    return outputs["logits"] if "logits" in outputs else outputs["probabilities"]


def predictions(outputs: Mapping[str, np.ndarray], labels: Sequence[str]) -> list[Prediction]:
    """One prediction for each row of the outputs (N, classes)."""
    answers = []
    for row in probabilities(outputs):
        best = int(row.argmax())
        scores = {label: float(value) for label, value in zip(labels, row, strict=True)}
        answers.append(Prediction(labels[best], float(row[best]), scores))
    return answers


def metrics(outputs: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, float]:
    """Accuracy, macro F1 and, for two classes that both occur, the area under the ROC curve; all 0-1.

    :param outputs: logits or probabilities (N, classes) float
    :param targets: (N,) int64 class ids
    """
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    # the logits themselves where there are some: their differences survive where a softmax rounds to 0 and 1
    answers, picked = _answers(outputs), chosen(outputs)
    values = {
        MAIN_METRIC: float(accuracy_score(targets, picked)),
        "macro_f1": float(f1_score(targets, picked, average="macro", zero_division=0.0)),
    }
    if answers.shape[-1] == 2 and len(np.unique(targets)) == 2:
        values["roc_auc"] = float(roc_auc_score(targets, answers[:, 1] - answers[:, 0]))
    return values
