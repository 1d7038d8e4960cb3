"""How many times as fast one candidate is as another, with an interval that stays honest on a noisy machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
CONFIDENCE = 0.95
Z = 1.96
"""Of the normal distribution, for `CONFIDENCE`."""

LEAST_ROUNDS = 6
"""Rounds in common for an interval: of five, the median of a resample is the smallest of them too often."""

STRETCHES = 5
"""Parts of a run, one after another, that say whether it stayed as it was."""

LEAST_PROCESSES = 3
"""Of each candidate, for how far they differ to be known; of two, nothing could be concluded."""

SHORT_LIFE = 0.25
"""Of what is usual: a process of fewer rounds is no sample beside the others, since chance alone moves it too far."""

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""The t distribution's 97.5th percentile for one degree of freedom, for two, and so on; then it is near `Z`."""

PROCESS_SPREAD = 0.025
"""Standard deviation of the logarithm of the ratio of two processes that hold the same file.

Where its memory happens to lie decides how fast a process is for as long as it lives, so that no number of rounds
shows it (Kalibera & Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013, section 4). Sixteen pairs of
processes with the same MiniLM differed by about so much beyond chance (benchmarks/processes.py). It is allowed for
where a candidate has had fewer processes than show how far they differ (`bench.lives`).
"""

LEAST_SPREAD = 0.007
"""The same at the least, however alike the processes of a run were: half a percent for each of the two."""

Rounds = Mapping[int, Sequence[float]]
"""Times by the number of the round; the same place in the same round is the same example."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast as the reference, with a 95 % interval; above 1 is faster."""

    value: float
    low: float
    high: float

    @property
    def is_faster(self) -> bool:
        """Whether the whole interval lies above 1."""
        return self.low > 1.0

    @property
    def is_slower(self) -> bool:
        """Whether the whole interval lies below 1."""
        return self.high < 1.0

    @property
    def precision(self) -> float:
        """Half the interval's width, as a fraction of the ratio."""
        return (self.high - self.low) / 2 / self.value

    def __str__(self) -> str:
        return f"{self.value:.2f}x ({self.low:.2f}-{self.high:.2f})"


ITSELF = Ratio(1.0, 1.0, 1.0)
"""Of a candidate to itself."""


def speed_ratio(
    reference: Rounds,
    candidate: Rounds,
    seed: int = 0,
    processes: Mapping[int, tuple[int, int]] | None = None,
) -> Ratio | None:
    """The reference's time over the candidate's: the median over rounds of the median over a round's examples.

    Each example's two times come from the same round, so that its length and the state of the machine cancel out:
    under load this is two to three times as precise as the ratio of two medians. The interval is the percentile
    bootstrap over rounds (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). Noise that
    lasts makes rounds alike, so runs of rounds are drawn as well (circular blocks: Politis & Romano, "A circular
    block-resampling procedure for stationary data", 1992), and the widest of the intervals holds, scaled for the
    few rounds that there are; nor is it narrower than what fifths of the run disagree by (batch means: Schmeiser,
    "Batch size effects in the analysis of simulation output", 1982), or parts of it with other processes. What no
    round can show is added: `LEAST_SPREAD`, or `PROCESS_SPREAD` where processes were too few.

    :param seed: of the resampling
    :param processes: by the number of the round, which of its processes the reference had, and which the candidate;
        None where a process's own speed cannot be in the ratio
    :return: None with fewer than `LEAST_ROUNDS` in common
    :raises ValueError: if the times of a round are not paired
    """
    logs = _log_ratios(reference, candidate)  # (R,) float64
    if len(logs) < LEAST_ROUNDS:
        return None
    middle = float(np.median(logs))
    below, above = _spread(logs, seed)
    luck = Z * LEAST_SPREAD
    if processes is not None:
        pairs = [processes[number] for number in sorted(reference.keys() & candidate.keys())]
        between = _disagreement(_by_processes(logs, pairs))
        below, above = max(below, between), max(above, between)
        if not between:
            luck = Z * PROCESS_SPREAD
    return Ratio(
        float(np.exp(middle)),
        float(np.exp(middle - np.hypot(below, luck))),
        float(np.exp(middle + np.hypot(above, luck))),
    )


def _log_ratios(reference: Rounds, candidate: Rounds) -> np.ndarray:
    common = sorted(reference.keys() & candidate.keys())
    if any(len(reference[number]) != len(candidate[number]) for number in common):
        raise ValueError("times of a round are not of the same examples")
    return np.array([np.median(np.log(np.divide(reference[number], candidate[number]))) for number in common])


def _spread(logs: np.ndarray, seed: int) -> tuple[float, float]:
    """How far the 95 % interval of the median reaches below and above it."""
    count = len(logs)
    middle = np.median(logs)
    random = np.random.default_rng(seed)
    tail = 100 * (1 - CONFIDENCE) / 2
    block = max(2, round(count ** (1 / 3)))
    below = above = 0.0
    for length in (1, block, 2 * block):
        starts = random.integers(count, size=(RESAMPLES, -(-count // length)))
        drawn = (starts[:, :, None] + np.arange(length)) % count
        medians = np.median(logs[drawn.reshape(RESAMPLES, -1)[:, :count]], axis=1)  # (RESAMPLES,)
        low, high = np.percentile(medians, [tail, 100 - tail])
        # resamples of few blocks vary too little: by 1 / (number of blocks); and the t distribution's 97.5th
        # percentile is about 1 + 1.2 / (rounds - 1) times the normal's
        scale = np.sqrt(count / (count - length)) * (1 + 1.2 / (count - 1))
        below, above = max(below, scale * (middle - low)), max(above, scale * (high - middle))
    disagreed = _disagreement(np.array_split(logs, STRETCHES))
    below, above = max(below, disagreed), max(above, disagreed)
    return float(below), float(above)


def _by_processes(logs: np.ndarray, pairs: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """The rounds of each pair of processes that did not live shortly; none where one of the two has had too few."""
    numbers: dict[tuple[int, int], list[int]] = {}
    for place, pair in enumerate(pairs):
        numbers.setdefault(pair, []).append(place)
    least = max(1.0, SHORT_LIFE * float(np.median([len(places) for places in numbers.values()])))
    whole = {known: logs[places] for known, places in numbers.items() if len(places) > least}
    fewest = min(len({pair[side] for pair in whole}) for side in (0, 1))
    return list(whole.values()) if fewest >= LEAST_PROCESSES else []


def _disagreement(parts: Sequence[np.ndarray]) -> float:
    """Half the width of the 95 % interval of a mean of which the medians of these parts are samples."""
    if not parts:
        return 0.0
    medians = [np.median(part) for part in parts]
    t = T_975[len(parts) - 2] if len(parts) - 2 < len(T_975) else Z
    return float(t * np.std(medians, ddof=1) / np.sqrt(len(parts)))
