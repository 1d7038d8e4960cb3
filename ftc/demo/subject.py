"""What a demo is about: its data and its model; everything that follows is the same for all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from compress.steps import Mode
    from ftc.data import Example

DATA = "data"


class Subject(Protocol):
    """A task with data and a model; implementations are frozen dataclasses whose fields are the recipe.

    :param name: what the checkpoint is called
    :param train: where below the data's folder the training rows lie, as `--data` takes them
    :param test: the same for the test rows
    :param modes: the kinds of INT8 that are made
    """

    name: ClassVar[str]
    train: ClassVar[str]
    test: ClassVar[str]
    modes: ClassVar[tuple[Mode, ...]]

    def write_data(self, directory: Path) -> str:
        """Write the data into an empty directory; say in a few words what was written."""
        ...

    def train_into(self, data: Path, directory: Path) -> str:
        """Train on the data and save a checkpoint into an empty directory; say in a few words what it is."""
        ...

    def question(self, data: Path) -> tuple[str, Example]:
        """What the service is asked, in words and as an example."""
        ...
