"""Texts that can be learned, and networks that a schedule lets learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from compress.training.parameters import choose
from compress.training.rows import Rows
from compress.training.schedule import Schedule
from ftc.checkpoint import load, open_any
from ftc.data import Dataset
from ftc.data import load as load_data
from ftc.tasks.task import open_task
from tests.conftest import TEXT_LABELS, WORDS


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Forty texts whose first word says their label."""
    path = tmp_path_factory.mktemp("rows") / "rows.tsv"
    random = np.random.default_rng(0)
    lines = []
    for row in range(40):
        others = " ".join(random.choice(WORDS, 2 + row % 9))
        lines.append(f"{('bad', 'charming')[row % 2]} {others}\t{row % 2}")
    path.write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    return load_data(str(path), modality="text", classes=TEXT_LABELS, need_labels=True)


@pytest.fixture(scope="package")
def rows(text_checkpoint: Path, data: Dataset) -> Rows:
    return Rows(data, open_task(open_any(text_checkpoint)), data.labels)


def trainable(checkpoint: Path, schedule: Schedule) -> torch.nn.Module:
    model = load(checkpoint)
    choose(model, schedule)
    return model
