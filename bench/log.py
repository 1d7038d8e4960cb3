"""A run as it comes to be: every record is on the disk before anything is made of it."""

from __future__ import annotations

from pathlib import Path

from bench import results
from ftc.measurement import Measurement, Run
from ftc.records import Record, told


class Log:
    """What is known so far. The run is made of its records alone, by those who read them later as well.

    :param run: as it began, or what a killed run left
    :param path: the results file; None writes nothing
    """

    def __init__(self, run: Run, path: Path | None) -> None:
        self.run, self._path = run, path

    def add(self, record: Record) -> None:
        """Append the record, and take note of it."""
        if self._path is not None:
            results.append(record, self._path)
        self.run = told(self.run, record)

    def of(self, candidate_id: str) -> Measurement:
        """What is known of a candidate."""
        return next(known for known in self.run.measurements if known.candidate.id == candidate_id)
