"""Short measurements of what was judged, beside the float export: which forms and which networks are fast."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.intervals import ITSELF
from bench.options import Options
from bench.run import bench
from ftc.console import counted, hushed, progress
from ftc.errors import RunError
from ftc.search import plan
from ftc.search.journal import Timed
from ftc.search.links import key
from ftc.search.request import Objective
from ftc.search.result import memory_bytes
from ftc.search.ways import best_of, first_ways, names_of_best

if TYPE_CHECKING:
    from bench.standing import Standing
    from bench.variants import Ways
    from ftc.artifact import Artifact
    from ftc.search.search import Search

_TIMING_S = 8.0
"""For each candidate of a short measurement; it tells those a tenth apart."""

_MOST_S = 30.0
"""For all of them."""

_TIMED_ROWS = 64


@dataclass(frozen=True, slots=True)
class Timing:
    """The part of a search that times."""

    search: Search

    def take(self, names: Sequence[str]) -> None:
        """A short measurement beside the reference; once more beside the checkpoint if it fails."""
        search, began = self.search, time.monotonic()
        reference = search.compared_with()
        first = key(()) if reference is search.planned.root else key(plan.REFERENCE)
        named = {reference.manifest.id: first}  # keys, by the ids of what they made
        candidates = [reference]
        for name in names:
            artifact = search.store.of(name)
            if artifact is not None and artifact.manifest.id not in named:
                named[artifact.manifest.id] = name
                candidates.append(artifact)
        ways, subjects = self._ways(candidates), len(named) - 1
        others = sum(map(len, ways.values())) - 1
        rows, options = search.planned.parts.judging.sample(_TIMED_ROWS, 0), self._options(others)
        try:
            with progress(f"timing {counted(others, 'candidate')} beside {reference.manifest.name}"), hushed():
                board = bench(candidates, data=rows, options=options, ways=ways)
        except RunError as error:
            search.tell(f"timing failed: {error}")
            return
        seconds = (time.monotonic() - began) / max(1, subjects)
        for made, name in named.items():
            ours = [standing for standing in board.standings if standing.candidate.artifact_id == made]
            plain = next((one for one in ours if one.candidate.is_root or one.candidate.is_float_onnx), None)
            if name == first and plain is not None and plain.verdict == "failed":
                search.fail(name, plain.reason, seconds)  # what the others are compared with
            else:
                self._note(name, ours, seconds if name != first or not subjects else 0.0)
        if search.compared_with().manifest.id != reference.manifest.id:
            # all of them: ratios to what failed cannot stand beside these
            again = [name for name in dict.fromkeys([*search.candidates(), *names]) if search.is_fit(name)]
            if again:
                self.take(again)

    def _ways(self, artifacts: Sequence[Artifact]) -> Mapping[str, Ways]:
        """All that there are of forms that were not timed yet."""
        request = self.search.planned.request
        known = self.search.ways(artifacts)
        return {
            (made := one.manifest.id): known[made] if self.search.best_ways(one) else first_ways(one, request)
            for one in artifacts
        }

    def _options(self, others: int) -> Options:
        request = self.search.planned.request
        return Options(
            threads=request.threads,
            time_budget_s=min(_TIMING_S * max(1, others), _MOST_S),
            device=request.device,
            precision=0.03,
            seed=request.seed,
            scenario="Offline" if request.objective is Objective.THROUGHPUT else "SingleStream",
        )

    def _note(self, name: str, standings: Sequence[Standing], seconds: float) -> None:
        """Write down how fast one was, on a GPU in the best of its ways.

        :param seconds: its part of the time; none of the reference's, which the others share
        """
        search, standing = self.search, best_of(standings)
        ratio = standing.ratio_to_float_onnx or standing.ratio_to_root
        if standing.verdict == "failed":
            search.fail(name, standing.reason, seconds)
        elif ratio is None or standing.p50_ns is None:
            search.tell(f"{name}: was not compared: too few rounds")
        else:
            before = search.store.timed(name)  # in all ways, where this is one of these again
            names = before.ways if before is not None else names_of_best(standings)
            p50_ns, memory = standing.p50_ns, memory_bytes(standing)
            search.store.add(
                lambda at: Timed(name, ratio.value, ratio.low, ratio.high, p50_ns, memory, seconds, at, names)
            )
            if ratio != ITSELF:
                way = f" as {standing.candidate.variant}" if standing.candidate.variant is not None else ""
                search.tell(f"{name}{way}: {ratio}")
