"""From raw times to percentiles and throughput: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

_CERTAINTY = 0.99


@cache
def floor(percentile: int) -> int:
    """The fewest samples of which a percentile is shown: 64 for the 90th, 662 for the 99th.

    Below it, the second largest sample is not above the true percentile with 99 % certainty: at most one sample
    would be, by chance, too often, and what is printed would be little else than the largest sample. It is the rule
    of MLPerf's load generator (early stopping: Reddi et al., "MLPerf Inference Benchmark", 2020) with one allowed
    sample above. It takes samples for independent draws: repeated calls of the same examples are draws of such calls,
    and of no other examples'.
    """
    below, above = percentile / 100, 1 - percentile / 100
    count = 2
    while below**count + count * above * below ** (count - 1) > 1 - _CERTAINTY:
        count += 1
    return count


def percentile_ns(times: Iterable[Sequence[float]], percentile: int) -> float | None:
    """A percentile over all rounds; None where there are too few samples to know it (the median always is)."""
    pooled = np.concatenate([np.asarray(row) for row in times])
    if percentile != 50 and len(pooled) < floor(percentile):
        return None
    return float(np.percentile(pooled, percentile))


def service_ns(latencies_ns: Sequence[int], arrivals_ns: Sequence[int]) -> np.ndarray:
    """What each query took from when those before it had been answered (N,), of latencies counted from its arrival."""
    ends = np.add(arrivals_ns, latencies_ns)
    taken: np.ndarray = ends - np.maximum(arrivals_ns, np.concatenate([[0], ends[:-1]]))
    return taken


def rows_per_second(times: Iterable[Sequence[float]], batch_size: int) -> float:
    """Throughput: rows divided by the time they took; rounds may hold other batches, so none of them stands alone."""
    rounds = list(times)
    return batch_size * sum(map(len, rounds)) / sum(map(sum, rounds)) * 1e9
