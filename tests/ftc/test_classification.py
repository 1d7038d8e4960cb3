"""Metrics of classification, beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from ftc.tasks.classification import metrics


@given(classes=st.integers(2, 5), rows=st.integers(1, 40), levels=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_metrics_are_those_of_scikit_learn(classes: int, rows: int, levels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.integers(0, levels, (rows, classes)).astype(np.float32)  # with ties
    targets = random.integers(0, classes, rows)
    picked = logits.argmax(axis=-1)
    expected = {
        "accuracy": accuracy_score(targets, picked),
        "macro_f1": f1_score(targets, picked, average="macro", zero_division=0.0),
    }
    if classes == 2 and len(set(targets.tolist())) == 2:
        expected["roc_auc"] = roc_auc_score(targets, logits[:, 1] - logits[:, 0])
    assert metrics({"logits": logits}, targets) == pytest.approx(expected)
