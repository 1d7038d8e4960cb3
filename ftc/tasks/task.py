"""What every task offers: examples in, tensors out; tensors back, answers and scores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self

from ftc.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from ftc.artifact import Artifact
    from ftc.data import Example
    from ftc.tasks.classification import Prediction
    from ftc.tasks.encoding import Encoded


class Task(Protocol):
    """Meaning for one artifact. Implementations are the classes named in `TASKS`.

    `architecture_suffix` is how class names of Hugging Face models for this task end, `main_metric` the key of
    `score` that budgets refer to.
    """

    modality: ClassVar[Literal["text", "image"]]
    architecture_suffix: ClassVar[str]
    main_metric: ClassVar[str]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, artifact: Artifact) -> Self: ...

    @staticmethod
    def golden_examples() -> list[Example]:
        """Examples of several lengths or sizes that every artifact is compared with its parent on."""
        ...

    def encode(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """The tensors of a batch: `encode_each`, then `batch`."""
        ...

    def encode_each(self, examples: Sequence[Example]) -> list[Encoded]: ...

    def batch(self, encoded: Sequence[Encoded]) -> dict[str, np.ndarray]: ...

    def length(self, example: Example) -> int:
        """What batches are grouped by: tokens of a text, pixels of an image's side."""
        ...

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[Prediction]: ...

    def chosen(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """(N,) int64, the class that each row of the outputs stands for."""
        ...

    def score(self, outputs: Mapping[str, np.ndarray], targets: np.ndarray) -> dict[str, float]: ...


def open_task(artifact: Artifact) -> Task:
    """The task of an artifact, with its labels and its encoder.

    :raises InputError: if there is no such task, or the artifact's preprocessing is for another one
    """
    from ftc.tasks import TASKS

    implementation: type[Task] = TASKS.load(artifact.manifest.task)
    kind = artifact.manifest.preprocessing.kind
    if kind != implementation.modality:
        raise InputError(f"{artifact.path}: its task is {artifact.manifest.task}, its preprocessing is for {kind}s.")
    return implementation.of(artifact)
