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

    As scikit-learn has them, whose import takes longer than many a model needs for its rows.

    :param outputs: logits or probabilities (N, classes) float
    :param targets: (N,) int64 class ids
    """
    # the logits themselves where there are some: their differences survive where a softmax rounds to 0 and 1
    answers, picked = _answers(outputs), chosen(outputs)
    values = {MAIN_METRIC: float(np.mean(picked == targets)), "macro_f1": _macro_f1(targets, picked)}
    if answers.shape[-1] == 2 and len(np.unique(targets)) == 2:
        values["roc_auc"] = _roc_auc(targets, answers[:, 1] - answers[:, 0])
    return values


def _macro_f1(targets: np.ndarray, picked: np.ndarray) -> float:
    """The mean of 2 TP / (2 TP + FP + FN) over the classes that occur or are answered."""
    size = int(max(targets.max(), picked.max())) + 1
    occur, answered = np.bincount(targets, minlength=size), np.bincount(picked, minlength=size)
    right = np.bincount(targets[targets == picked], minlength=size)
    seen = occur + answered > 0
    return float(np.mean(2 * right[seen] / (occur + answered)[seen]))


def _roc_auc(targets: np.ndarray, scores: np.ndarray) -> float:
    """How often a row of class 1 has a larger score than one of class 0, ties as halves.

    The Mann-Whitney statistic over its maximum, which is the area (Hanley & McNeil, "The Meaning and Use of the Area
    under a ROC Curve", Radiology 143, 1982).
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positives = int(np.sum(targets == 1))
    smallest = positives * (positives + 1) / 2
    return float((ranks[targets == 1].sum() - smallest) / (positives * (len(targets) - positives)))
