"""What made-up texts do for a network that is taught: `ftc distill --augment N` beside none, in the same time.

python benchmarks/augmenting.py CHECKPOINT --train ROWS --test ROWS [--keep 0.37] [--augment 3] [--teaching 5m]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from measuring import FTC, checked

from compress.parity import answers
from compress.training.objectives import soft_cross_entropy
from ftc.artifact import Artifact
from ftc.checkpoint import open_any
from ftc.data import Dataset, load
from ftc.tasks.task import open_task

TEMPERATURE = 2.0
"""That of `ftc distill`, by which divergence is told."""


def logits(artifact: Artifact, rows: Dataset) -> torch.Tensor:
    """(N, classes) float32, each row alone."""
    return torch.from_numpy(answers(artifact, rows.examples, batch_size=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--keep", default="0.37")
    parser.add_argument("--augment", default="3")
    parser.add_argument("--teaching", default="5m", help="What each teaching may take.")
    arguments = parser.parse_args()
    root = open_any(arguments.checkpoint)
    rows = load(str(arguments.test), modality=open_task(root).modality, classes=root.manifest.labels, need_labels=True)
    assert rows.labels is not None, "asked for"
    wanted = logits(root, rows)
    with tempfile.TemporaryDirectory() as folder:
        pruned = Path(folder) / "pruned"
        checked(
            [*FTC, "prune", arguments.checkpoint, "--data", arguments.train, "--keep", arguments.keep, "-o", pruned]
        )
        taught = [*FTC, "distill", pruned, "--data", arguments.train, "--time-budget", arguments.teaching]
        made = {"whole": arguments.checkpoint, "pruned": pruned}
        for augment in ("0", arguments.augment):
            name = f"taught, --augment {augment}"
            made[name] = Path(folder) / f"augment-{augment}"
            checked([*taught, "--evaluations", "1", "--augment", augment, "-o", made[name]])
        for name, path in made.items():
            found = logits(open_any(path), rows)
            right = np.equal(found.argmax(-1).numpy(), rows.labels).mean()
            same = found.argmax(-1).eq(wanted.argmax(-1)).double().mean()
            far = soft_cross_entropy(found, wanted, TEMPERATURE)
            print(f"{name}: {right:.4f} right, {same:.4f} as the whole network, {far:.4f} from its answers", flush=True)


if __name__ == "__main__":
    main()
