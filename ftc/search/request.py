"""What a search is asked for, checked before anything starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from ftc.errors import InputError


class Objective(StrEnum):
    """What is made as good as it can be."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    SIZE = "size"


class Target(StrEnum):
    """Where the winner is to run: CUDA is an NVIDIA GPU of this machine; EDGE takes TFLite alone."""

    CPU = "cpu"
    CUDA = "cuda"
    EDGE = "edge"


class Effort(StrEnum):
    """How far a search goes, from one pruned network without training to more shapes in more forms."""

    QUICK = "quick"
    BALANCED = "balanced"
    THOROUGH = "thorough"


DEFAULT_BUDGETS_S = {Effort.QUICK: 240.0, Effort.BALANCED: 1200.0, Effort.THOROUGH: 7200.0}
"""What a search of each effort may take if nothing else is said."""

LEAST_BUDGET_S = 30.0

MOST_DROP = 0.2
"""What is more was meant in points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is looked for, inside which limits, and for how long.

    Objective, target and effort may be given as words.

    :param max_drop: what the task's main metric (0-1) may lose against the checkpoint: 0.01 is one point
    :param min_score: what it must reach instead (0-1)
    :param strict: whether the whole interval of the drop must lie inside the budget, not the drop alone
    :param max_size_bytes: of the model file
    :param max_memory_bytes: peak resident memory of a process that runs it; on a GPU, the most it holds there
    :param max_latency_ns: median of a call, one row
    :param time_budget_s: what the search may take, the final measurement included; None for the effort's own
    :param threads: of one model call; None for every core
    :param seed: of every sample
    """

    objective: Objective = Objective.LATENCY
    max_drop: float = 0.01
    min_score: float | None = None
    strict: bool = False
    max_size_bytes: float | None = None
    max_memory_bytes: float | None = None
    max_latency_ns: float | None = None
    target: Target = Target.CPU
    effort: Effort = Effort.BALANCED
    time_budget_s: float | None = None
    threads: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        from bench.options import Options

        for name, known in (("objective", Objective), ("target", Target), ("effort", Effort)):
            if getattr(self, name) not in tuple(known):
                raise InputError(f"{name} {getattr(self, name)!r} is none of {', '.join(known)}.")
            object.__setattr__(self, name, known(getattr(self, name)))  # code of users' own may give the word alone
        for name in ("max_drop", "min_score", "max_size_bytes", "max_memory_bytes", "max_latency_ns", "time_budget_s"):
            if getattr(self, name) is not None:  # 30 and 30.0 are the same search
                object.__setattr__(self, name, float(getattr(self, name)))
        if not 0 <= self.max_drop <= MOST_DROP:
            raise InputError(
                f"--max-drop {self.max_drop:g}: give what the metric may lose as a part of 1, 0 to {MOST_DROP:g}: "
                "0.01 is one point."
            )
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise InputError(f"--min-score {self.min_score:g}: give the metric as a fraction, 0 to 1.")
        for name in ("max_size_bytes", "max_memory_bytes", "max_latency_ns"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                option = name.removesuffix("_bytes").removesuffix("_ns").replace("_", "-")
                raise InputError(f"--{option} must be above 0, and a finite number.")
        if not LEAST_BUDGET_S <= self.budget_s < math.inf:
            raise InputError(
                f"--time-budget {self.budget_s:g}s: a search needs at least {LEAST_BUDGET_S:g} s; to measure what is "
                "there already: ftc bench."
            )
        if self.objective is Objective.THROUGHPUT and self.max_latency_ns is not None:
            raise InputError(
                "--max-latency is the time of one row, and --objective throughput times batches, of sizes that "
                "differ: leave one of them out."
            )
        Options(threads=self.threads, seed=self.seed)  # what measuring takes is refused before minutes of building
        if self.target is Target.CUDA and self.objective is Objective.SIZE:
            raise InputError(
                "--objective size is of the file, and what makes files smaller, INT8, is made for CPUs: leave --target "
                "cuda out."
            )

    @property
    def device(self) -> str:
        """What candidates are measured on."""
        return "cuda" if self.target is Target.CUDA else "cpu"

    @property
    def budget_s(self) -> float:
        """What the search may take."""
        return DEFAULT_BUDGETS_S[self.effort] if self.time_budget_s is None else self.time_budget_s

    @property
    def max_drop_points(self) -> float:
        """The budget in hundredths of the metric."""
        return 100 * self.max_drop

    def broken_by(self, size_bytes: float, memory_bytes: float | None, p50_ns: float | None) -> str | None:
        """Which limit a candidate breaks, in words; None if it keeps them all, so far as is known."""
        if self.max_size_bytes is not None and size_bytes > self.max_size_bytes:
            return f"has {size_bytes / 1e6:.4g} MB, more than --max-size {self.max_size_bytes / 1e6:g}"
        if self.max_memory_bytes is not None and memory_bytes is not None and memory_bytes > self.max_memory_bytes:
            most = self.max_memory_bytes / 1e6
            return f"takes {memory_bytes / 1e6:.4g} MB of memory, more than --max-memory {most:g}"
        if self.max_memory_bytes is not None and memory_bytes is None and self.target is Target.CUDA:
            return "its runtime does not tell what it takes of the GPU's memory, which --max-memory limits"
        if self.max_latency_ns is not None and p50_ns is not None and p50_ns > self.max_latency_ns:
            return f"takes {p50_ns / 1e6:.4g} ms, more than --max-latency {self.max_latency_ns / 1e6:g}"
        return None
